//! As many as go.

use std::slice;
use std::time::Duration;

use trilby_testkit::load::ClosedLoop;

use crate::operation::{Operation, Repeated, Target};
use crate::scene::{Scene, Sidecar, Store};
use crate::{SLICES, rows};

const LOAD: ClosedLoop = ClosedLoop {
    connections: 64,
    operations: 100,
};

pub(crate) async fn measure(scene: &Scene, sidecars: &[Sidecar]) {
    println!(
        "\nAs many as go over {} connections\n\n\
         | store | operation | path | operations/s | sidecar CPU µs | operations a CPU second |\n|---|---|---|---|---|---|",
        LOAD.connections
    );
    for (store, operation) in rows() {
        row(scene, (store, operation), sidecars).await;
    }
}

async fn row(scene: &Scene, (store, operation): (Store, &'static Operation), sidecars: &[Sidecar]) {
    let direct = Target::Direct(scene.open(store).await);
    operation.prepare(&direct).await;
    let mut alone = Duration::ZERO;
    let mut through = vec![(Duration::ZERO, Duration::ZERO); sidecars.len()];
    for slice in 0..=SLICES {
        let took = run(operation, &direct).await;
        if slice > 0 {
            alone += took;
        }
        for (sidecar, (all, spent)) in sidecars.iter().zip(&mut through) {
            let target = Target::Sidecar(sidecar.address(), store);
            let before = sidecar.cpu();
            let took = run(operation, &target).await;
            if slice > 0 {
                *all += took;
                *spent += sidecar.cpu() - before;
            }
        }
    }
    let count = (SLICES * LOAD.count()) as f64;
    let (store, operation) = (store.name(), operation.name());
    println!(
        "| {store} | {operation} | direct | {:.0} | | |",
        count / alone.as_secs_f64()
    );
    for (sidecar, (all, spent)) in sidecars.iter().zip(through) {
        println!(
            "| {store} | {operation} | {} | {:.0} | {:.0} | {:.0} |",
            sidecar.name(),
            count / all.as_secs_f64(),
            spent.as_secs_f64() / count * 1e6,
            count / spent.as_secs_f64(),
        );
    }
}

async fn run(operation: &'static Operation, target: &Target) -> Duration {
    let work = Repeated(slice::from_ref(operation), target.clone());
    LOAD.run(work).await.expect("no operation fails")
}
