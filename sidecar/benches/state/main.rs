//! What a sidecar adds to operations on state, against the same client of the same store in this process.
//!
//! ```sh
//! cargo bench -p trilby-sidecar --bench state -- target/release/daprd [OTHER_DAPRD ...]   # RATE=1000 SECONDS=5
//! cargo bench -p trilby-sidecar --bench state -- --endurance target/release/daprd [OTHER_DAPRD ...]   # OPERATIONS=1000000
//! ```
//!
//! For each store and operation an open loop of `RATE` operations a second over [`rate::CONNECTIONS`] connections; direct
//! operations and those through each sidecar (gRPC, no mutual TLS, no app) take turns in slices of `SECONDS`, and the first
//! slice of each does not count. Latency is counted from the moment an operation was due, so that a stall is not hidden. CPU
//! is what the kernel charged the sidecar. Then, likewise, a closed loop: as many as go. With `--endurance`, instead: memory
//! of each sidecar while a million operations go through.

#![allow(clippy::print_stdout, reason = "the tables are the output")]
#![allow(clippy::unwrap_used, reason = "a measurement that fails may panic")]

mod endurance;
mod flood;
mod operation;
mod rate;
mod scene;

use std::path::PathBuf;

use operation::Operation;
use scene::{Scene, Store};

/// Slices of each target that count, after one that does not.
const SLICES: usize = 3;

fn main() {
    let arguments = std::env::args().skip(1);
    let (flags, binaries): (Vec<String>, Vec<String>) =
        arguments.partition(|argument| argument.starts_with('-'));
    assert!(!binaries.is_empty(), "name at least one daprd binary");
    let binaries: Vec<PathBuf> = binaries
        .iter()
        .map(|path| {
            PathBuf::from(path)
                .canonicalize()
                .expect("the binary is there")
        })
        .collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let scene = Scene::start().await;
        match flags.iter().any(|flag| flag == "--endurance") {
            true => endurance::endure(&scene, &binaries).await,
            false => compare(&scene, &binaries).await,
        }
    });
}

/// A number from the environment.
fn number(name: &str, default: u32) -> u32 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| text.parse().expect("it is a number"))
}

async fn compare(scene: &Scene, binaries: &[PathBuf]) {
    let mut sidecars = Vec::new();
    for binary in binaries {
        sidecars.push(scene.sidecar(binary).await);
    }
    rate::measure(scene, &sidecars).await;
    flood::measure(scene, &sidecars).await;
    for sidecar in &sidecars {
        let resident = sidecar.memory().resident / 1024;
        println!(
            "\n{}: {resident} KB resident after all of it",
            sidecar.name()
        );
    }
}

/// Each operation on each store.
fn rows() -> impl Iterator<Item = (Store, &'static Operation)> {
    let stores = Store::ALL.into_iter();
    stores.flat_map(|store| {
        Operation::ALL
            .iter()
            .map(move |operation| (store, operation))
    })
}
