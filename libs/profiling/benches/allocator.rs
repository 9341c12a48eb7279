//! What the sampling allocator costs: nanoseconds to allocate a block and free it, over the system's allocator alone.
//!
//! `cargo bench -p trilby-profiling --bench allocator`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;

use tokio::time::Instant;
use trilby_profiling::{Allocator, sample_allocations};

const ROUNDS: usize = 15;
const PAIRS: u32 = 2_000_000;
/// A small block, and one of about what a request's head takes.
const SIZES: [usize; 2] = [64, 4096];

#[expect(clippy::print_stdout, reason = "figures are for a person")]
fn main() {
    println!("bytes  system ns  off ns  on ns   (medians of {ROUNDS} rounds of {PAIRS} blocks)");
    let before = SIZES.map(|size| [rounds(&System, size), rounds(&Allocator, size)]);
    // There is no way back, so the ways without it come first.
    sample_allocations();
    for (size, [system, off]) in SIZES.into_iter().zip(before) {
        let on = rounds(&Allocator, size);
        println!("{size:5}  {system:9.2}  {off:6.2}  {on:5.2}");
    }
}

/// The median of what one block takes, in nanoseconds.
fn rounds(allocator: &impl GlobalAlloc, size: usize) -> f64 {
    let layout = Layout::from_size_align(size, 8).expect("it is a layout");
    let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| round(allocator, layout)).collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
fn round(allocator: &impl GlobalAlloc, layout: Layout) -> f64 {
    let start = Instant::now();
    for _ in 0..PAIRS {
        // SAFETY: the layout is not empty, and the block is freed once, with the same layout.
        unsafe {
            let block = black_box(allocator.alloc(black_box(layout)));
            allocator.dealloc(block, layout);
        }
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(PAIRS)
}
