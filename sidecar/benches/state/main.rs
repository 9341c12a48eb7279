//! What a sidecar adds to operations on state, against the same client of the same store in this process.
//!
//! ```sh
//! cargo bench -p trilby-sidecar --bench state -- target/release/daprd [OTHER_DAPRD ...]   # RATE=1000 SECONDS=5
//! cargo bench -p trilby-sidecar --bench state -- --endurance target/release/daprd [OTHER_DAPRD ...]   # OPERATIONS=1000000
//! ```
//!
//! For each store and operation an open loop of `RATE` operations a second over [`CONNECTIONS`] connections; direct
//! operations and those through each sidecar (gRPC, no mutual TLS, no app) take turns in slices of `SECONDS`, and the first
//! slice of each does not count. Latency is counted from the moment an operation was due, so that a stall is not hidden. CPU
//! is what the kernel charged the sidecar. With `--endurance`, instead: memory of each sidecar while a million operations go
//! through.

#![allow(clippy::print_stdout, reason = "the tables are the output")]
#![allow(clippy::unwrap_used, reason = "a measurement that fails may panic")]

mod endurance;
mod operation;
mod scene;

use std::path::PathBuf;
use std::time::Duration;

use operation::{Operation, Repeated, Target};
use scene::{Scene, Sidecar, Store};
use trilby_testkit::load::{Latencies, OpenLoop};

const CONNECTIONS: u32 = 16;
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
    let load = OpenLoop {
        rate: number("RATE", 1000),
        connections: CONNECTIONS,
        slice: Duration::from_secs(number("SECONDS", 5).into()),
    };
    println!("\n{}/s over {CONNECTIONS} connections\n", load.rate);
    println!(
        "| store | operation | path | p50 ms | p99 ms | added p50 | added p99 | sidecar CPU µs | operations a CPU second |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for store in Store::ALL {
        for operation in Operation::ALL {
            row(scene, (store, operation), load, &sidecars).await;
        }
    }
    for sidecar in &sidecars {
        let resident = sidecar.memory().resident / 1024;
        println!(
            "\n{}: {resident} KB resident after all of it",
            sidecar.name()
        );
    }
}

async fn row(
    scene: &Scene,
    (store, operation): (Store, Operation),
    load: OpenLoop,
    sidecars: &[Sidecar],
) {
    let direct = Target::Direct(scene.open(store).await);
    operation.prepare(&direct).await;
    let mut alone = Latencies::default();
    let mut through: Vec<_> = sidecars.iter().map(|_| Measured::default()).collect();
    for slice in 0..=SLICES {
        let latencies = run(load, operation, &direct).await;
        if slice > 0 {
            alone.extend(latencies);
        }
        for (sidecar, measured) in sidecars.iter().zip(&mut through) {
            let target = Target::Sidecar(sidecar.address(), store);
            let before = sidecar.cpu();
            let latencies = run(load, operation, &target).await;
            if slice > 0 {
                measured.spent += sidecar.cpu() - before;
                measured.latencies.extend(latencies);
            }
        }
    }
    let (p50, p99) = (alone.quantile(0.5), alone.quantile(0.99));
    let (store, operation) = (store.name(), operation.name());
    println!("| {store} | {operation} | direct | {p50:.2} | {p99:.2} | | | | |");
    for (sidecar, Measured { latencies, spent }) in sidecars.iter().zip(through) {
        let (own50, own99) = (latencies.quantile(0.5), latencies.quantile(0.99));
        let each = spent.as_secs_f64() / latencies.count() as f64;
        println!(
            "| {store} | {operation} | {} | {own50:.2} | {own99:.2} | {:.2} | {:.2} | {:.0} | {:.0} |",
            sidecar.name(),
            own50 - p50,
            own99 - p99,
            each * 1e6,
            1.0 / each,
        );
    }
}

async fn run(load: OpenLoop, operation: Operation, target: &Target) -> Latencies {
    let latencies = load.run(Repeated(operation, target.clone())).await;
    latencies.expect("no operation fails")
}

/// What went through one sidecar.
#[derive(Default)]
struct Measured {
    latencies: Latencies,
    spent: Duration,
}
