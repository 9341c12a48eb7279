//! Memory while many operations go through.

use std::path::PathBuf;

use trilby_testkit::load::ClosedLoop;

use crate::number;
use crate::operation::{Operation, Repeated, Target};
use crate::scene::{Scene, Store};

const CONNECTIONS: u32 = 32;
/// How often memory is looked at.
const LOOKS: u32 = 10;

/// All operations in turn, as many as go.
pub(crate) async fn endure(scene: &Scene, binaries: &[PathBuf]) {
    let operations = number("OPERATIONS", 1_000_000);
    println!("| operations | path | resident KB | anonymous KB |\n|---|---|---|---|");
    for binary in binaries {
        let sidecar = scene.sidecar(binary).await;
        let target = Target::Sidecar(sidecar.address(), Store::Redis);
        Operation::Set.prepare(&target).await;
        for look in 0..=LOOKS {
            if look > 0 {
                let burst = ClosedLoop {
                    connections: CONNECTIONS,
                    operations: operations / LOOKS / CONNECTIONS,
                };
                let work = Repeated(&Operation::ALL, target.clone());
                burst.run(work).await.expect("no operation fails");
            }
            let memory = sidecar.memory();
            println!(
                "| {} | {} | {} | {} |",
                look * (operations / LOOKS),
                sidecar.name(),
                memory.resident / 1024,
                memory.anonymous / 1024
            );
        }
    }
}
