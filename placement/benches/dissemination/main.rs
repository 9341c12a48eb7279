//! What a change of the actor table costs: one binary, or several in turn.
//!
//! ```sh
//! cargo bench -p trilby-placement --bench dissemination -- target/release/placement [OTHER_PLACEMENT ...]
//! ```
//!
//! Hosts are simulated: each has a connection of its own, decodes and acknowledges, but builds no rings and
//! reads no more of a table than the hosts of one type.
//! They share the machine with the server. Of each binary a Markdown table: how long it took until the
//! last host had unlocked after all joined at once, and after one left or joined; what was sent; the
//! server's CPU for such a round, and its memory. `deltas` are hosts that announce that they take
//! changes, as ours do; `whole` are those that do not, as upstream's; a server that knows of no deltas
//! is run with the latter alone.
//!
//! `HOSTS=10,100` chooses other sizes.

#![allow(clippy::print_stdout, reason = "the table is the output")]
#![allow(
    clippy::unwrap_used,
    reason = "what helps a benchmark fails as it does"
)]

mod crowd;
mod host;
mod order;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crowd::Crowd;
use host::{Kind, Stream};
use tokio::time::Instant;
use trilby_testkit::services::Placement;

/// Changes of one host each, half of them departures.
const CHANGES: usize = 40;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments = std::env::args().skip(1);
    let binaries: Vec<PathBuf> = arguments
        .filter(|argument| !argument.starts_with('-'))
        .map(|binary| std::fs::canonicalize(binary).unwrap())
        .collect();
    assert!(!binaries.is_empty(), "name at least one placement");
    let sizes = std::env::var("HOSTS").unwrap_or_else(|_| "10,100,500,1000".to_owned());
    let sizes: Vec<usize> = sizes.split(',').map(|size| size.parse().unwrap()).collect();
    println!(
        "| placement | hosts | kind | all join ms | p50 ms | p99 ms | sent MB | CPU ms | RSS MB, peak | lost streams |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for hosts in sizes {
        for binary in &binaries {
            for kind in [Kind::Deltas, Kind::Whole] {
                measure(binary, hosts, kind).await;
            }
        }
    }
}

/// All hosts are one process, which is busy for a while with as many whole tables as it takes.
const PATIENCE: &str = "10s";

async fn start(binary: &Path) -> Placement {
    let placement = Placement::new().binary(binary.to_owned());
    let mut placement = placement.arg("--keepalive-timeout", PATIENCE);
    placement.start().await;
    placement
}

async fn knows_deltas(binary: &Path) -> bool {
    let mut placement = start(binary).await;
    let stream = Stream::open(placement.grpc_address(), 0, Kind::Deltas).await;
    placement.kill().await;
    stream.extended
}

async fn measure(binary: &Path, hosts: usize, kind: Kind) {
    if kind == Kind::Deltas && !knows_deltas(binary).await {
        return;
    }
    let mut placement = start(binary).await;
    let mut crowd = Crowd::new(placement.grpc_address(), kind);
    let began = Instant::now();
    crowd.join(hosts).await;
    let all = began.elapsed();
    let (cpu, sent) = (placement.cpu(), crowd.received());
    let mut took = Vec::new();
    for change in 0..CHANGES {
        // What followed the last change is over.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        match change % 2 {
            0 => crowd.leave().await,
            _ => crowd.join(1).await,
        }
        took.push(began.elapsed());
    }
    took.sort_unstable();
    let rounds = f64::from(u32::try_from(CHANGES).unwrap());
    let spent = (placement.cpu() - cpu).as_secs_f64() * 1000.0 / rounds;
    let megabytes = megabytes(crowd.received() - sent) / rounds;
    let memory = placement.memory();
    let (now, peak) = (
        self::megabytes(memory.resident),
        self::megabytes(memory.peak),
    );
    println!(
        "| {} | {hosts} | {} | {:.0} | {:.1} | {:.1} | {megabytes:.2} | {spent:.1} | {now:.0}, {peak:.0} | {} |",
        binary.display(),
        kind.name(),
        millis(all),
        millis(took[took.len() / 2]),
        millis(took[took.len() * 99 / 100]),
        crowd.lost(),
    );
    placement.kill().await;
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
