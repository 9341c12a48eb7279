//! The system's allocator, with a look at every 512 KiB of what is allocated once that is asked for.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::heap;

/// The program's global allocator. It is the system's; before [`sample_allocations`] a call costs one relaxed load more.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allocator;

static SAMPLING: AtomicBool = AtomicBool::new(false);

/// From now on until the end of the process, allocations are sampled. What was allocated before stays unknown.
///
/// Only programs whose global allocator is [`Allocator`] have heap profiles.
pub fn sample_allocations() {
    SAMPLING.store(true, Ordering::Relaxed);
}

/// Whether allocations are sampled.
pub(crate) fn is_sampling() -> bool {
    SAMPLING.load(Ordering::Relaxed)
}

#[allow(unsafe_code, reason = "an allocator is unsafe by its trait")]
// SAFETY: every call is the system allocator's, with the same arguments and result; the looks neither change nor keep
// the memory.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract.
        let memory = unsafe { System.alloc(layout) };
        allocated(memory, layout.size());
        memory
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract.
        let memory = unsafe { System.alloc_zeroed(layout) };
        allocated(memory, layout.size());
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // Before, so that no one else can have the address yet.
        freed(memory);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(memory, layout) };
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        freed(memory);
        // SAFETY: the caller keeps the contract.
        let memory = unsafe { System.realloc(memory, layout, size) };
        allocated(memory, size);
        memory
    }
}

#[inline]
fn allocated(memory: *mut u8, size: usize) {
    if is_sampling() && !memory.is_null() {
        heap::allocated(memory.addr(), size);
    }
}

#[inline]
fn freed(memory: *mut u8) {
    if is_sampling() {
        heap::freed(memory.addr());
    }
}
