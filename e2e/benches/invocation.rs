//! What two sidecars with mutual TLS add to a call, against a direct call of the same app in the same run.
//!
//! ```sh
//! cargo bench -p trilby-e2e --bench invocation -- target/release/daprd [OTHER_DAPRD ...]
//! ```
//!
//! An open loop of [`RATE`] requests a second over [`CONNECTIONS`] connections; direct calls and calls through each pair
//! take turns in slices of [`SLICE`]. Latency is counted from the moment a request was due, so a stall is not hidden.
//! CPU is what the kernel charged each sidecar, per request.

#![allow(clippy::print_stdout, reason = "the table is the output")]

#[path = "invocation/load.rs"]
mod load;
#[path = "invocation/pair.rs"]
mod pair;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use load::{App, Load};
use pair::Pair;

const RATE: u32 = 1000;
const CONNECTIONS: u32 = 16;
const SLICE: Duration = Duration::from_secs(5);
/// Slices of each target that count, after one that does not.
const SLICES: usize = 4;

#[tokio::main]
async fn main() -> Result<()> {
    let binaries = binaries()?;
    let app = App::start().await?;
    let mut pairs = Vec::new();
    for binary in binaries {
        pairs.push(Pair::start(binary, app.port()).await);
    }
    let load = Load {
        rate: RATE,
        connections: CONNECTIONS,
        slice: SLICE,
    };
    let mut direct = load::Latencies::default();
    let mut through: Vec<load::Latencies> =
        pairs.iter().map(|_| load::Latencies::default()).collect();
    for slice in 0..=SLICES {
        let counted = slice > 0;
        let latencies = load.run(app.address(), "/echo").await?;
        if counted {
            direct.extend(latencies);
        }
        for (pair, through) in pairs.iter_mut().zip(&mut through) {
            pair.mark();
            let latencies = load
                .run(pair.caller_address(), "/v1.0/invoke/callee/method/echo")
                .await?;
            if counted {
                pair.count(latencies.len());
                through.extend(latencies);
            }
        }
    }
    report(&direct, &pairs, &through);
    Ok(())
}

fn binaries() -> Result<Vec<PathBuf>> {
    let arguments = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'));
    let binaries: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    ensure!(!binaries.is_empty(), "name at least one daprd binary");
    binaries
        .into_iter()
        .map(|path| Ok(path.canonicalize()?))
        .collect()
}

fn report(direct: &load::Latencies, pairs: &[Pair], through: &[load::Latencies]) {
    println!(
        "| path | p50 ms | p99 ms | added p50 | added p99 | caller CPU µs | callee CPU µs | caller RSS MB | callee RSS MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let (p50, p99) = (direct.quantile(0.5), direct.quantile(0.99));
    println!("| direct | {p50:.2} | {p99:.2} | | | | | | |");
    for (pair, latencies) in pairs.iter().zip(through) {
        let (own50, own99) = (latencies.quantile(0.5), latencies.quantile(0.99));
        let [caller, callee] = pair.cpu_microseconds_per_request();
        let [caller_rss, callee_rss] = pair.rss_megabytes();
        println!(
            "| {} | {own50:.2} | {own99:.2} | {:.2} | {:.2} | {caller:.0} | {callee:.0} | {caller_rss:.1} | {callee_rss:.1} |",
            pair.name(),
            own50 - p50,
            own99 - p99,
        );
    }
}
