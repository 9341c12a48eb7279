//! Profiles of a running process under Go's pprof URLs, in pprof's format, for `go tool pprof` and what reads the same.
//!
//! ```text
//! SIGPROF ─► interrupt (slots) ─► cpu, threads ─┐
//! allocator ─► heap (table) ────────────────────┴─► stacks with values ─► profile (addresses, mappings, names) ─► endpoint
//! ```
//!
//! Nothing runs unless it is asked for: the signal handler is installed with the first profile, the timer ticks while
//! one is taken, and the [`Allocator`] costs one relaxed load per call until [`sample_allocations`] was called.
//! Deliberately absent: contention and execution traces, which answer with an error that says what is there instead.

mod allocator;
mod cpu;
mod elf;
mod endpoint;
mod gzip;
mod heap;
mod interrupt;
mod mapping;
mod message;
mod profile;
mod stack;
mod text;
mod threads;

pub use allocator::{Allocator, sample_allocations};
pub use endpoint::{PREFIX, answer};
