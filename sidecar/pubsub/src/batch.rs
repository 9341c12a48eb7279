//! Batches that the sidecar makes of single messages: full, or waited for long enough.

use std::time::Instant;

use crate::subscription::Bulk;

/// Messages that are collected.
#[derive(Debug)]
pub struct Batch<T> {
    bounds: Bulk,
    /// Nothing more comes while messages wait: none does.
    immediate: bool,
    messages: Vec<T>,
    /// When the first has waited long enough.
    due: Option<Instant>,
}

/// What happens to a batch.
#[derive(Debug)]
pub enum Event<T> {
    /// A message came.
    Arrived(T),
    /// It may be [`Batch::due`].
    Tick,
    /// Nothing more comes.
    End,
}

// === impl Batch ===

impl<T> Batch<T> {
    /// An empty one. `immediate`: the broker hands nothing further over while messages wait.
    #[must_use]
    pub fn new(bounds: Bulk, immediate: bool) -> Self {
        Self {
            bounds,
            immediate,
            messages: Vec::new(),
            due: None,
        }
    }

    /// Takes `event` in; what has to be delivered now, in the order it came.
    #[must_use]
    pub fn step(&mut self, event: Event<T>, now: Instant) -> Option<Vec<T>> {
        let ripe = match event {
            Event::Arrived(message) => {
                self.messages.push(message);
                self.due.get_or_insert(now + self.bounds.max_wait);
                self.immediate || self.messages.len() >= self.bounds.max_messages
            }
            Event::Tick => false,
            Event::End => true,
        };
        let waited = self.due.is_some_and(|due| due <= now);
        if self.messages.is_empty() || !(ripe || waited) {
            return None;
        }
        self.due = None;
        Some(std::mem::take(&mut self.messages))
    }

    /// When to say [`Event::Tick`]; `None` while nothing waits.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.due
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a moment to count from; none passes"
)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Batch, Event};
    use crate::subscription::Bulk;

    const WAIT: Duration = Duration::from_millis(100);

    fn batch(max_messages: usize, immediate: bool) -> Batch<u32> {
        let max_wait = WAIT;
        Batch::new(
            Bulk {
                max_messages,
                max_wait,
            },
            immediate,
        )
    }

    #[test]
    fn a_full_batch_does_not_wait() {
        let (mut batch, now) = (batch(3, false), Instant::now());
        assert_eq!(batch.step(Event::Arrived(1), now), None);
        assert_eq!(batch.step(Event::Arrived(2), now), None);
        assert_eq!(batch.step(Event::Arrived(3), now), Some(vec![1, 2, 3]));
        assert_eq!(batch.due(), None);
        assert_eq!(batch.step(Event::End, now), None);
    }

    #[test]
    fn the_first_message_decides_how_long_is_waited() {
        let (mut batch, now) = (batch(3, false), Instant::now());
        assert_eq!(batch.step(Event::Tick, now), None);
        assert_eq!(batch.step(Event::Arrived(1), now), None);
        assert_eq!(batch.step(Event::Arrived(2), now + WAIT / 2), None);
        assert_eq!(batch.due(), Some(now + WAIT));
        assert_eq!(batch.step(Event::Tick, now + WAIT / 2), None);
        assert_eq!(batch.step(Event::Tick, now + WAIT), Some(vec![1, 2]));
        assert_eq!(batch.step(Event::Arrived(3), now + WAIT), None);
        assert_eq!(batch.due(), Some(now + WAIT * 2));
        assert_eq!(batch.step(Event::End, now + WAIT), Some(vec![3]));
    }

    #[test]
    fn a_broker_that_hands_over_one_at_a_time_is_not_kept() {
        let mut batch = batch(3, true);
        assert_eq!(batch.step(Event::Arrived(1), Instant::now()), Some(vec![1]));
    }
}
