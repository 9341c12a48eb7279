//! Latencies at a rate.

use std::slice;
use std::time::Duration;

use trilby_testkit::load::{Latencies, OpenLoop};

use crate::operation::{Operation, Repeated, Target};
use crate::scene::{Scene, Sidecar, Store};
use crate::{SLICES, number, rows};

pub(crate) const CONNECTIONS: u32 = 16;

pub(crate) async fn measure(scene: &Scene, sidecars: &[Sidecar]) {
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
    for (store, operation) in rows() {
        row(scene, (store, operation), load, sidecars).await;
    }
}

async fn row(
    scene: &Scene,
    (store, operation): (Store, &'static Operation),
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

async fn run(load: OpenLoop, operation: &'static Operation, target: &Target) -> Latencies {
    let work = Repeated(slice::from_ref(operation), target.clone());
    load.run(work).await.expect("no operation fails")
}

/// What went through one sidecar.
#[derive(Default)]
struct Measured {
    latencies: Latencies,
    spent: Duration,
}
