//! Who allocates, and who holds what was allocated: a sample about every 512 KiB, as Go's.
//!
//! The distances between samples are random (exponential), so that no pattern of sizes is missed; each sample then
//! stands for what its size makes likely. A sampled block is known by its address until it is freed; a table of counts
//! by hash of address lets all other frees pass without a lock.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::profile::{Kind, Stacks, Unit};
use crate::stack::Frames;

/// Bytes between two samples of a thread, on average.
const RATE: usize = 512 * 1024;
/// Different stacks that are remembered; what further ones allocate is counted under an empty stack.
const MAX_STACKS: usize = 8 * 1024;
/// Sampled blocks that are followed until they are freed: 16 GiB of a heap. Further ones count as allocated only.
const MAX_LIVE: usize = 32 * 1024;
/// Places of the filter; a power of two, of which few are taken.
const FILTER: usize = 64 * 1024;

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);
/// How many followed blocks have an address of this hash.
static FOLLOWED: [AtomicU16; FILTER] = [const { AtomicU16::new(0) }; FILTER];

thread_local! {
    /// Bytes until the next sample.
    static LEFT: Cell<usize> = const { Cell::new(0) };
    /// State of the random distances; 0 before the first.
    static RANDOM: Cell<u64> = const { Cell::new(0) };
    /// Whether this thread is in here already: what sampling itself allocates is not looked at.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

#[derive(Default)]
struct Table {
    stacks: HashMap<Arc<[usize]>, Totals>,
    live: HashMap<usize, Block>,
}

struct Block {
    stack: Arc<[usize]>,
    objects: f64,
    bytes: f64,
}

/// What the samples of one stack stand for.
#[derive(Clone, Copy, Default)]
struct Totals {
    allocated: [f64; 2],
    held: [f64; 2],
}

/// Counts an allocation, and samples it if it is its turn.
#[inline]
pub(crate) fn allocated(address: usize, size: usize) {
    let left = LEFT.get();
    if size < left {
        LEFT.set(left - size);
    } else {
        at_turn(address, size);
    }
}

/// Forgets a block, if it is one that is followed.
#[inline]
pub(crate) fn freed(address: usize) {
    if FOLLOWED[place(address)].load(Ordering::Relaxed) != 0 {
        forget(address);
    }
}

#[cold]
fn at_turn(address: usize, size: usize) {
    let first = RANDOM.get() == 0;
    let distance = next_distance();
    LEFT.set(distance);
    // A thread's first block is at no distance from anything.
    if first && size < distance {
        LEFT.set(distance - size);
    } else {
        alone(|| sample(address, size));
    }
}

#[cold]
fn forget(address: usize) {
    alone(|| TABLE.lock().forget(address));
}

/// Runs `work` unless this thread is in some already.
fn alone(work: impl FnOnce()) {
    if !INSIDE.replace(true) {
        work();
        INSIDE.set(false);
    }
}

fn sample(address: usize, size: usize) {
    let mut frames = Frames::empty();
    frames.take(0);
    TABLE.lock().add(frames.addresses(), address, size);
}

impl Table {
    fn add(&mut self, frames: &[usize], address: usize, size: usize) {
        let stack = self.stack(frames);
        // One in `1 / likely` blocks of this size is sampled.
        let likely = 1.0 - (-(size.max(1) as f64) / RATE as f64).exp();
        let block = Block {
            objects: 1.0 / likely,
            bytes: size as f64 / likely,
            stack: Arc::clone(&stack),
        };
        let totals = self.stacks.entry(stack).or_default();
        totals.allocated[0] += block.objects;
        totals.allocated[1] += block.bytes;
        if self.live.len() < MAX_LIVE {
            totals.held[0] += block.objects;
            totals.held[1] += block.bytes;
            FOLLOWED[place(address)].fetch_add(1, Ordering::Relaxed);
            self.live.insert(address, block);
        }
    }

    /// The stack as it is remembered.
    fn stack(&self, frames: &[usize]) -> Arc<[usize]> {
        match self.stacks.get_key_value(frames) {
            Some((stack, _)) => Arc::clone(stack),
            None if self.stacks.len() < MAX_STACKS => frames.into(),
            None => Arc::default(),
        }
    }

    fn forget(&mut self, address: usize) {
        let Some(block) = self.live.remove(&address) else {
            return;
        };
        FOLLOWED[place(address)].fetch_sub(1, Ordering::Relaxed);
        if let Some(totals) = self.stacks.get_mut(&block.stack) {
            totals.held[0] -= block.objects;
            totals.held[1] -= block.bytes;
        }
    }
}

/// All stacks that allocated, with what they allocated and what of it is held.
pub(crate) fn stacks(default: &'static str) -> Stacks {
    let kinds = [
        Kind::new("alloc_objects", Unit::Count),
        Kind::new("alloc_space", Unit::Bytes),
        Kind::new("inuse_objects", Unit::Count),
        Kind::new("inuse_space", Unit::Bytes),
    ];
    let mut stacks = Stacks::new(&kinds, SystemTime::now());
    stacks.period = Some((Kind::new("space", Unit::Bytes), RATE as i64));
    stacks.default = Some(default);
    let mut all = Vec::new();
    alone(|| {
        let table = TABLE.lock();
        all = table
            .stacks
            .iter()
            .map(|(stack, totals)| (Arc::clone(stack), *totals))
            .collect();
    });
    for (stack, Totals { allocated, held }) in all {
        let values =
            [allocated[0], allocated[1], held[0], held[1]].map(|value| value.round() as i64);
        stacks.push(Box::from(&*stack), &values);
    }
    stacks
}

/// The filter's place of an address. Allocations are 16 bytes apart at least.
fn place(address: usize) -> usize {
    ((address >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) % FILTER
}

/// Exponentially distributed with [`RATE`] as mean.
fn next_distance() -> usize {
    let mut state = match RANDOM.get() {
        // Threads have their variables at different addresses.
        0 => RANDOM.with(|own| std::ptr::from_ref(own).addr() as u64) | 1,
        state => state,
    };
    // Xorshift: good enough to be independent of what a program allocates.
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    RANDOM.set(state);
    let uniform = ((state >> 11) + 1) as f64 / (1u64 << 53) as f64;
    (-uniform.ln() * RATE as f64) as usize + 1
}

#[cfg(test)]
mod tests;
