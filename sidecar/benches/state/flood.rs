//! As many as go.

use std::slice;
use std::time::Duration;

use anyhow::Result;
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
    let mut through: Vec<_> = sidecars.iter().map(|_| Ok(Measured::default())).collect();
    for slice in 0..=SLICES {
        let took = run(operation, &direct).await.expect("the store works");
        if slice > 0 {
            alone += took;
        }
        for (sidecar, measured) in sidecars.iter().zip(&mut through) {
            let Ok(so_far) = measured else { continue };
            let target = Target::Sidecar(sidecar.address(), store);
            let before = sidecar.cpu();
            match run(operation, &target).await {
                Ok(took) if slice > 0 => {
                    so_far.took += took;
                    so_far.spent += sidecar.cpu() - before;
                }
                Ok(_) => {}
                Err(error) => *measured = Err(error),
            }
        }
    }
    let (store, operation) = (store.name(), operation.name());
    let rate = per_second(alone);
    println!("| {store} | {operation} | direct | {rate:.0} | | |");
    for (sidecar, measured) in sidecars.iter().zip(through) {
        let name = sidecar.name();
        match measured {
            Ok(Measured { took, spent }) => println!(
                "| {store} | {operation} | {name} | {:.0} | {:.0} | {:.0} |",
                per_second(took),
                1e6 / per_second(spent),
                per_second(spent),
            ),
            Err(error) => println!("| {store} | {operation} | {name} | {error} | | |"),
        }
    }
}

/// How many of the operations that counted are done in a second of this time.
fn per_second(time: Duration) -> f64 {
    (SLICES * LOAD.count()) as f64 / time.as_secs_f64()
}

/// How long it took.
async fn run(operation: &'static Operation, target: &Target) -> Result<Duration> {
    LOAD.run(Repeated(slice::from_ref(operation), target.clone()))
        .await
}

/// What went through one sidecar.
#[derive(Default)]
struct Measured {
    took: Duration,
    spent: Duration,
}
