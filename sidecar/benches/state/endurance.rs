//! Memory while many operations go through.

use std::path::PathBuf;

use tokio::task::JoinSet;

use crate::number;
use crate::operation::{Operation, Target};
use crate::scene::{Scene, Store};

const CONNECTIONS: u32 = 32;
/// How often memory is looked at.
const LOOKS: u32 = 10;

/// Writes and reads in turn, as many as go.
pub(crate) async fn endure(scene: &Scene, binaries: &[PathBuf]) {
    let operations = number("OPERATIONS", 1_000_000);
    println!("| operations | path | resident KB | anonymous KB |\n|---|---|---|---|");
    for binary in binaries {
        let sidecar = scene.sidecar(binary).await;
        let target = Target::Sidecar(sidecar.address(), Store::Redis);
        Operation::Set.prepare(&target).await;
        for look in 0..=LOOKS {
            if look > 0 {
                burst(&target, operations / LOOKS / CONNECTIONS).await;
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

async fn burst(target: &Target, each: u32) {
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let target = target.clone();
        connections.spawn(async move {
            let mut client = target.connect().await;
            for index in 0..each as usize {
                let operation = match index % 2 {
                    0 => Operation::Set,
                    _ => Operation::Get,
                };
                operation.perform(&mut client, index).await;
            }
        });
    }
    while let Some(ended) = connections.join_next().await {
        ended.expect("no operation fails");
    }
}
