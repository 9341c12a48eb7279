//! Runs the target that the environment names.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use trilby_fuzz::{TARGETS, Target};

static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        trilby_fuzz::find(&name).unwrap_or_else(|| {
            let known: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
            panic!("FUZZ_TARGET is {name:?}, not one of {known:?}")
        })
    });
    target(data);
});
