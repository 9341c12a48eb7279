//! What a subscription does next: a state machine without I/O.
//!
//! Entries wait, then they are handled; both are held, and told to the server from time to time, so that no other
//! consumer takes them over. New entries and those of others that are due wait in one queue, which each of both fills
//! up to `depth` at most.

use std::collections::{BTreeSet, VecDeque};

use super::entry::{Entry, Id};

/// How much a subscription holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Entries that may wait when more are asked for.
    pub(super) depth: usize,
    /// Entries that may be handled at once.
    pub(super) workers: usize,
    /// Whether what is left behind is handed over again by anybody.
    pub(super) redelivers: bool,
}

/// What it has to think of from time to time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alarm {
    /// Look for entries that nobody handles.
    Redeliver,
    /// Tell the server what is held.
    Renew,
}

/// What has happened.
#[derive(Debug)]
pub(super) enum Event {
    /// It begins.
    Begin,
    /// New entries; none when it was stopped meanwhile.
    Read(Vec<Entry>),
    /// Entries of others that are this one's from now on, and where to look for more, if there may be more.
    Claimed(Vec<Entry>, Option<Id>),
    /// An entry was handled and settled, or is left.
    Handled(Id),
    /// The server knows what is held. These are another's now, or nobody's.
    Renewed(Vec<Id>),
    /// What was given back is another's to take.
    Released,
    /// It is time.
    Due(Alarm),
    /// Nothing new any more.
    Stop,
}

/// What is to be done. Each is answered by an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Wait for new entries, so many at most.
    Read(usize),
    /// Take entries over that are due, from this one on, so many at most, and none of those that are held.
    Claim {
        from: Id,
        most: usize,
        held: BTreeSet<Id>,
    },
    /// Hand it over, and acknowledge it if it is taken.
    Handle(Entry),
    /// Tell the server that these are held.
    Renew(Vec<Id>),
    /// Give these back, so that others need not wait for them.
    Release(Vec<Id>),
    /// Wait until it is time.
    Sleep(Alarm),
}

/// A subscription, as far as it decides.
#[derive(Debug)]
pub(super) struct Flow {
    limits: Limits,
    waiting: VecDeque<Entry>,
    handling: BTreeSet<Id>,
    reading: bool,
    claiming: bool,
    /// How many times entries are being given back.
    releasing: usize,
    /// Where to go on to look for entries that are due.
    looking: Option<Id>,
    stopped: bool,
}

impl Flow {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            waiting: VecDeque::new(),
            handling: BTreeSet::new(),
            reading: false,
            claiming: false,
            releasing: 0,
            looking: None,
            stopped: false,
        }
    }

    /// Whether it was stopped and has nothing in hand.
    pub(super) fn is_over(&self) -> bool {
        let at_rest = !self.reading && !self.claiming && self.releasing == 0;
        self.stopped && at_rest && self.waiting.is_empty() && self.handling.is_empty()
    }

    pub(super) fn step(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Begin => self.begin(&mut actions),
            Event::Read(entries) => {
                self.reading = false;
                self.queue(entries, &mut actions);
            }
            Event::Claimed(entries, next) => {
                self.claiming = false;
                self.looking = next;
                self.queue(entries, &mut actions);
            }
            Event::Handled(id) => {
                self.handling.remove(&id);
            }
            Event::Renewed(lost) => {
                self.waiting.retain(|entry| !lost.contains(&entry.id));
                actions.push(Action::Sleep(Alarm::Renew));
            }
            Event::Released => self.releasing -= 1,
            Event::Due(alarm) => self.due(alarm, &mut actions),
            Event::Stop => self.stop(&mut actions),
        }
        self.go_on(&mut actions);
        actions
    }

    fn begin(&mut self, actions: &mut Vec<Action>) {
        if self.limits.redelivers {
            self.looking = Some(Id::default());
            actions.extend([Alarm::Redeliver, Alarm::Renew].map(Action::Sleep));
        }
    }

    fn due(&mut self, alarm: Alarm, actions: &mut Vec<Action>) {
        let held = self.held();
        match alarm {
            Alarm::Redeliver => {
                self.looking.get_or_insert_default();
                actions.push(Action::Sleep(Alarm::Redeliver));
            }
            Alarm::Renew if held.is_empty() => actions.push(Action::Sleep(Alarm::Renew)),
            Alarm::Renew => actions.push(Action::Renew(held.into_iter().collect())),
        }
    }

    fn stop(&mut self, actions: &mut Vec<Action>) {
        self.stopped = true;
        let waiting = std::mem::take(&mut self.waiting).into();
        self.queue(waiting, actions);
    }

    fn queue(&mut self, entries: Vec<Entry>, actions: &mut Vec<Action>) {
        // Where nobody hands over again what is left, it is handed over to the end.
        if self.stopped && self.limits.redelivers {
            if !entries.is_empty() {
                self.releasing += 1;
                let ids = entries.iter().map(|entry| entry.id).collect();
                actions.push(Action::Release(ids));
            }
            return;
        }
        let held = self.held();
        let new = entries.into_iter();
        self.waiting
            .extend(new.filter(|entry| !held.contains(&entry.id)));
    }

    fn go_on(&mut self, actions: &mut Vec<Action>) {
        while self.handling.len() < self.limits.workers
            && let Some(entry) = self.waiting.pop_front()
        {
            self.handling.insert(entry.id);
            actions.push(Action::Handle(entry));
        }
        let room = self.limits.depth.saturating_sub(self.waiting.len());
        if self.stopped || room == 0 {
            return;
        }
        if !self.reading {
            self.reading = true;
            actions.push(Action::Read(room));
        }
        if !self.claiming
            && let Some(from) = self.looking
        {
            self.claiming = true;
            actions.push(Action::Claim {
                from,
                most: room,
                held: self.held(),
            });
        }
    }

    fn held(&self) -> BTreeSet<Id> {
        let waiting = self.waiting.iter().map(|entry| entry.id);
        waiting.chain(self.handling.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests;
