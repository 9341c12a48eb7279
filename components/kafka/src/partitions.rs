//! The partitions that are assigned to one member: what waits in each, what is being handled, and what is to be committed.
//! Decisions only; who polls, hands over and commits asks here.
//!
//! A partition has at most one batch with its handler. One that has much waiting is paused, so that one that does not get
//! on costs neither memory nor the others' messages.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Topic and number.
pub(crate) type Key = (String, i32);

/// Bytes that may wait in one partition before it is paused.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// What may be handed over at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batching {
    /// The most records, at least 1.
    pub(crate) most: usize,
    /// How long the first one waits for others.
    pub(crate) wait: Duration,
}

/// One at a time.
pub(crate) const SINGLE: Batching = Batching {
    most: 1,
    wait: Duration::ZERO,
};

/// A record that waits.
#[derive(Debug)]
pub(crate) struct Waiting<R> {
    /// Its place in the partition.
    pub(crate) offset: i64,
    /// What it takes, in bytes.
    pub(crate) size: usize,
    /// When it came.
    pub(crate) since: Instant,
    /// The record itself.
    pub(crate) record: R,
}

/// What is to be handed over.
#[derive(Debug)]
pub(crate) struct Batch<R> {
    /// From where.
    pub(crate) key: Key,
    /// Which assignment of the partition it belongs to.
    pub(crate) assignment: u64,
    /// Offset and record, in order; never empty.
    pub(crate) records: Vec<(i64, R)>,
    /// Cancelled when the partition is given up: nothing is to be tried again.
    pub(crate) revoked: CancellationToken,
}

/// Offsets to commit: of which assignment, and the offset of the next record to read.
pub(crate) type Offsets = BTreeMap<Key, (u64, i64)>;

/// All of them.
#[derive(Debug)]
pub(crate) struct Partitions<R> {
    batching: Batching,
    /// Records that may wait in one partition before it is paused.
    most_waiting: usize,
    assignments: u64,
    assigned: BTreeMap<Key, Partition<R>>,
}

#[derive(Debug)]
struct Partition<R> {
    assignment: u64,
    waiting: VecDeque<Waiting<R>>,
    bytes: usize,
    busy: bool,
    paused: bool,
    /// The next record to read, as far as everything before it was taken.
    done: Option<i64>,
    /// The same as the broker knows it from us.
    committed: Option<i64>,
    revoked: CancellationToken,
}

impl<R> Partitions<R> {
    /// None yet.
    pub(crate) fn new(batching: Batching, most_waiting: usize) -> Self {
        Self {
            batching,
            most_waiting: most_waiting.max(1),
            assignments: 0,
            assigned: BTreeMap::new(),
        }
    }

    /// Takes partitions on.
    pub(crate) fn assign(&mut self, keys: impl IntoIterator<Item = Key>) {
        for key in keys {
            self.assignments += 1;
            let partition = Partition {
                assignment: self.assignments,
                waiting: VecDeque::new(),
                bytes: 0,
                busy: false,
                paused: false,
                done: None,
                committed: None,
                revoked: CancellationToken::new(),
            };
            self.assigned.insert(key, partition);
        }
    }

    /// Gives up what waits in partitions, and what is tried again there; what is being handled goes on.
    pub(crate) fn revoke(&mut self, keys: &[Key]) {
        for key in keys {
            if let Some(partition) = self.assigned.get_mut(key) {
                partition.waiting.clear();
                partition.bytes = 0;
                partition.revoked.cancel();
            }
        }
    }

    /// As [`Partitions::revoke`], for all of them.
    pub(crate) fn revoke_all(&mut self) {
        let keys: Vec<Key> = self.assigned.keys().cloned().collect();
        self.revoke(&keys);
    }

    /// Forgets partitions, whatever is going on in them.
    pub(crate) fn forget(&mut self, keys: &[Key]) {
        self.revoke(keys);
        for key in keys {
            self.assigned.remove(key);
        }
    }

    /// Whether something of these partitions is being handled.
    pub(crate) fn busy(&self, keys: &[Key]) -> bool {
        let mut assigned = keys.iter().filter_map(|key| self.assigned.get(key));
        assigned.any(|partition| partition.busy)
    }

    /// A record has come. One of a partition that is not ours any more is the business of another member.
    pub(crate) fn receive(&mut self, key: &Key, waiting: Waiting<R>) {
        let Some(partition) = self.assigned.get_mut(key) else {
            return;
        };
        if !partition.revoked.is_cancelled() {
            partition.bytes += waiting.size;
            partition.waiting.push_back(waiting);
        }
    }

    /// What can be handed over now.
    pub(crate) fn begin(&mut self, now: Instant) -> Vec<Batch<R>> {
        let batching = self.batching;
        let free = self.assigned.iter_mut();
        free.filter_map(|(key, partition)| {
            let due = partition.due(batching)?;
            (due <= now).then(|| partition.begin(key, batching.most))
        })
        .collect()
    }

    /// When there is something to hand over next, if nothing happens until then.
    pub(crate) fn next(&self) -> Option<Instant> {
        let partitions = self.assigned.values();
        partitions
            .filter_map(|partition| partition.due(self.batching))
            .min()
    }

    /// Handling has ended: everything before `next` was taken, if anything was.
    pub(crate) fn finished(&mut self, key: &Key, assignment: u64, next: Option<i64>) {
        let Some(partition) = self.assigned.get_mut(key) else {
            return;
        };
        if partition.assignment == assignment {
            partition.busy = false;
            partition.done = partition.done.max(next);
        }
    }

    /// Which partitions are to be paused (`true`) or resumed from now on.
    pub(crate) fn turned(&mut self) -> Vec<(Key, bool)> {
        let most = self.most_waiting;
        let mut turned = Vec::new();
        for (key, partition) in &mut self.assigned {
            let paused = match partition.paused {
                false => partition.waiting.len() >= most || partition.bytes >= MOST_BYTES,
                true => partition.waiting.len() > most / 2 || partition.bytes > MOST_BYTES / 2,
            };
            if paused != partition.paused {
                partition.paused = paused;
                turned.push((key.clone(), paused));
            }
        }
        turned
    }

    /// What was taken and is not committed.
    pub(crate) fn uncommitted(&self) -> Offsets {
        let partitions = self.assigned.iter();
        partitions
            .filter(|(_, partition)| partition.done > partition.committed)
            .filter_map(|(key, partition)| {
                Some((key.clone(), (partition.assignment, partition.done?)))
            })
            .collect()
    }

    /// The broker has committed these.
    pub(crate) fn committed(&mut self, offsets: &Offsets) {
        for (key, (assignment, offset)) in offsets {
            if let Some(partition) = self.assigned.get_mut(key)
                && partition.assignment == *assignment
            {
                partition.committed = partition.committed.max(Some(*offset));
            }
        }
    }
}

impl<R> Partition<R> {
    /// When something of it can be handed over.
    fn due(&self, batching: Batching) -> Option<Instant> {
        let first = self.waiting.front()?;
        if self.busy {
            return None;
        }
        let full = self.waiting.len() >= batching.most || self.paused;
        Some(if full {
            first.since
        } else {
            first.since + batching.wait
        })
    }

    fn begin(&mut self, key: &Key, most: usize) -> Batch<R> {
        let taken = self.waiting.drain(..most.min(self.waiting.len()));
        let mut records = Vec::with_capacity(taken.len());
        for waiting in taken {
            self.bytes -= waiting.size;
            records.push((waiting.offset, waiting.record));
        }
        self.busy = true;
        Batch {
            key: key.clone(),
            assignment: self.assignment,
            records,
            revoked: self.revoked.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
