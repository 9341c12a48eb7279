//! Counts over the last stretch of time, in buckets that are forgotten one by one.

/// Milliseconds since the component began.
pub(super) type Millis = u64;

/// The length of Sentinel's own buckets.
const BUCKET: Millis = 500;
/// Beyond this a window is one bucket.
const LONGEST_SPLIT: Millis = 10_000;

/// What happened in one bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) completed: u64,
    pub(super) slow: u64,
    /// Milliseconds of all completed ones together.
    pub(super) time: u64,
    /// Milliseconds of the fastest.
    pub(super) fastest: Option<u64>,
}

/// Counts of the last `length` milliseconds.
#[derive(Debug)]
pub(super) struct Window {
    bucket: Millis,
    /// The number of the stretch that each bucket counts, and what it counts.
    buckets: Vec<(u64, Counts)>,
}

impl Window {
    /// With buckets as Sentinel chooses them.
    pub(super) fn new(length: Millis) -> Self {
        let split = (BUCKET..=LONGEST_SPLIT).contains(&length) && length.is_multiple_of(BUCKET);
        Self::with_buckets(length, if split { length / BUCKET } else { 1 })
    }

    /// With as many buckets as asked for, or one if they would not be equal.
    pub(super) fn with_buckets(length: Millis, count: u64) -> Self {
        let length = length.max(1);
        let count = if count == 0 || !length.is_multiple_of(count) {
            1
        } else {
            count
        };
        Self {
            bucket: length / count,
            buckets: (0..count).map(|_| (0, Counts::default())).collect(),
        }
    }

    /// The bucket of this moment.
    pub(super) fn now(&mut self, now: Millis) -> &mut Counts {
        let stretch = now / self.bucket;
        let count = self.buckets.len() as u64;
        let place = usize::try_from(stretch % count).expect("there are few buckets");
        let (counted, counts) = &mut self.buckets[place];
        if *counted != stretch {
            (*counted, *counts) = (stretch, Counts::default());
        }
        counts
    }

    /// The buckets that are not too old.
    pub(super) fn recent(&self, now: Millis) -> impl Iterator<Item = &Counts> {
        let stretch = now / self.bucket;
        let oldest = (stretch + 1).saturating_sub(self.buckets.len() as u64);
        let fresh = move |counted: u64| (oldest..=stretch).contains(&counted);
        let buckets = self
            .buckets
            .iter()
            .filter(move |(counted, _)| fresh(*counted));
        buckets.map(|(_, counts)| counts)
    }

    pub(super) fn sum(&self, now: Millis, of: impl Fn(&Counts) -> u64) -> u64 {
        self.recent(now).map(of).sum()
    }

    /// Buckets in a second.
    pub(super) fn buckets_a_second(&self) -> u64 {
        (1000 / self.bucket).max(1)
    }

    pub(super) fn clear(&mut self) {
        self.buckets.fill((0, Counts::default()));
    }
}

#[cfg(test)]
mod tests {
    use super::Window;

    #[test]
    fn old_buckets_are_forgotten_one_by_one() {
        let mut window = Window::new(1000);
        window.now(400).passed += 1;
        window.now(600).passed += 2;
        let sum = |now| window.sum(now, |counts| counts.passed);
        assert_eq!(
            (sum(600), sum(999), sum(1000), sum(1499), sum(1500)),
            (3, 3, 2, 2, 0)
        );
    }

    #[test]
    fn odd_lengths_are_one_bucket() {
        let mut window = Window::new(750);
        window.now(700).passed += 1;
        assert_eq!(window.sum(749, |counts| counts.passed), 1);
        assert_eq!(window.sum(750, |counts| counts.passed), 0);
        assert_eq!(Window::with_buckets(1000, 3).buckets.len(), 1);
        assert_eq!(Window::with_buckets(0, 0).buckets.len(), 1);
    }
}
