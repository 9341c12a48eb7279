//! Beats, and the lease that their answers extend.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{Action, Lease, ProtocolError};

/// What is known of the lease on one stream.
#[derive(Debug, Default)]
pub(super) struct Beats {
    /// `None` while nothing is known, and towards a placement that gives no leases.
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    lease: Duration,
    /// When it ends, if no further beat is answered.
    until: Instant,
    /// When the next beat is to be sent.
    next: Instant,
    /// When the unanswered beats were sent, oldest first.
    sent: VecDeque<Instant>,
    /// The number of the oldest beat in `sent`.
    first: u64,
}

/// Beats within one lease: two may be lost or late.
const PER_LEASE: u32 = 3;

// === impl Beats ===

impl Beats {
    /// The stream was taken. Until the first beat is answered nothing hosted here may be called.
    pub(super) fn begin(
        &mut self,
        lease: Option<Duration>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(lease) = lease else {
            return actions.push(Action::Lease(Lease::Stream));
        };
        let mut running = Running {
            lease,
            // To be answered by then; nothing can be under way before.
            until: now + lease,
            next: now,
            sent: VecDeque::new(),
            first: 0,
        };
        running.send(now, actions);
        self.running = Some(running);
    }

    /// A beat was answered. Older beats, whose answers would come earlier, are of no more use.
    pub(super) fn answered(&mut self, beat: u64, actions: &mut Vec<Action>) {
        let Some(running) = &mut self.running else {
            return;
        };
        let Some(index) = beat.checked_sub(running.first) else {
            return;
        };
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(sent) = running.sent.get(index).copied() else {
            return;
        };
        running.sent.drain(..=index);
        running.first = beat + 1;
        running.until = sent + running.lease;
        actions.push(Action::Lease(Lease::Until(running.until)));
    }

    /// When what is granted ends; `None` where placement gives no leases.
    pub(super) fn lease_end(&self) -> Option<Instant> {
        Some(self.running.as_ref()?.until)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let running = self.running.as_ref()?;
        Some(running.next.min(running.until))
    }

    pub(super) fn tick(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Some(running) = &mut self.running else {
            return;
        };
        if now >= running.until {
            let after = running.lease;
            actions.push(Action::Close(ProtocolError::LeaseOver { after }));
        } else if now >= running.next {
            running.send(now, actions);
        }
    }
}

// === impl Running ===

impl Running {
    /// What is unanswered is bounded: the lease ends before a fifth beat is due.
    fn send(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let beat = self.first + self.sent.len() as u64;
        self.sent.push_back(now);
        self.next = now + self.lease / PER_LEASE;
        actions.push(Action::Beat { beat });
    }
}
