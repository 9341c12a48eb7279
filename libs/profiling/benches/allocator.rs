//! What the sampling allocator costs: nanoseconds to allocate a block and free it, beside the system's allocator alone.
//!
//! `cargo bench -p trilby-profiling --bench allocator`. The two take turns, and each one's best round counts: whatever
//! else the machine does only makes a round longer.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;

use tokio::time::Instant;
use trilby_profiling::{Allocator, sample_allocations};

const ROUNDS: usize = 200;
const PAIRS: u32 = 100_000;
/// A small block, and one as large as the head of a request may be.
const SIZES: [usize; 2] = [64, 4096];

#[expect(clippy::print_stdout, reason = "figures are for a person")]
fn main() {
    println!("the best of {ROUNDS} rounds of {PAIRS} blocks, in nanoseconds for one block");
    println!("bytes  sampling  system  ours");
    for sampling in ["off", "on"] {
        for size in SIZES {
            let [system, ours] = best(size);
            println!("{size:5}  {sampling:8}  {system:6.1}  {ours:4.1}");
        }
        sample_allocations();
    }
}

fn best(size: usize) -> [f64; 2] {
    let layout = Layout::from_size_align(size, 8).expect("it is a layout");
    let mut best = [f64::INFINITY; 2];
    for _ in 0..ROUNDS {
        best[0] = best[0].min(round(&System, layout));
        best[1] = best[1].min(round(&Allocator, layout));
    }
    best
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
