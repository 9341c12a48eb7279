//! Ids of traces and spans: random, never zero.

use std::cell::RefCell;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

thread_local! {
    /// Ids need to differ, not to be secret.
    static RNG: RefCell<SmallRng> = RefCell::new(SmallRng::from_rng(&mut rand::rng()));
}

/// A new trace's id.
pub(crate) fn trace_id() -> [u8; 16] {
    loop {
        let id: u128 = RNG.with_borrow_mut(|rng| rng.random());
        if id != 0 {
            return id.to_be_bytes();
        }
    }
}

/// A new span's id.
pub(crate) fn span_id() -> [u8; 8] {
    loop {
        let id: u64 = RNG.with_borrow_mut(|rng| rng.random());
        if id != 0 {
            return id.to_be_bytes();
        }
    }
}
