//! What two sidecars with mutual TLS add to a call, against a direct call of the same app in the same run.
//!
//! ```sh
//! cargo bench -p trilby-e2e --bench invocation -- target/release/daprd [OTHER_DAPRD ...]
//! cargo bench -p trilby-e2e --bench invocation -- --endurance target/release/daprd [OTHER_DAPRD ...]
//! ```
//!
//! First an open loop of [`RATE`] requests a second over [`CONNECTIONS`] connections; direct calls and calls through each
//! pair take turns in slices of [`SLICE`]. Latency is counted from the moment a request was due, so a stall is not
//! hidden. CPU is what the kernel charged each sidecar, per request. Then a closed loop, for the most that goes through.
//! Both over HTTP and, proxied, over gRPC. With `--endurance`, instead: memory while a million calls go through.

#![allow(clippy::print_stdout, reason = "the tables are the output")]

#[path = "invocation/app.rs"]
mod app;
#[path = "invocation/call.rs"]
mod call;
#[path = "invocation/endurance.rs"]
mod endurance;
#[path = "invocation/pair.rs"]
mod pair;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use app::App;
use call::{Call, Protocol};
use pair::Pair;
use trilby_testkit::load::{ClosedLoop, Latencies, OpenLoop};

const RATE: u32 = 1000;
const CONNECTIONS: u32 = 16;
const SLICE: Duration = Duration::from_secs(5);
/// Slices of each target that count, after one that does not.
const SLICES: usize = 4;
/// What the closed loop does in one slice.
const FLOOD: ClosedLoop = ClosedLoop {
    connections: 64,
    operations: 200,
};

#[tokio::main]
async fn main() -> Result<()> {
    let binaries = binaries()?;
    if std::env::args().any(|argument| argument == "--endurance") {
        return endurance::endure(binaries).await;
    }
    for protocol in [Protocol::Http, Protocol::Grpc] {
        compare(protocol, &binaries).await?;
    }
    Ok(())
}

async fn compare(protocol: Protocol, binaries: &[PathBuf]) -> Result<()> {
    let app = App::start(protocol).await?;
    let direct = Call {
        protocol,
        address: app.address(),
        path: "/bench.Echo/Echo",
        app_id: None,
    };
    let mut pairs = Vec::new();
    for binary in binaries {
        pairs.push(Pair::start(binary.clone(), protocol, app.port()).await);
    }
    let latencies = at_rate(direct, &mut pairs).await?;
    println!("\n{protocol:?}, {RATE}/s over {CONNECTIONS} connections\n");
    report(&latencies, &pairs);
    println!(
        "\n{protocol:?}, as many as go over {} connections\n",
        FLOOD.connections
    );
    at_most(direct, &mut pairs).await
}

/// Of direct calls, and of those through each pair.
async fn at_rate(direct: Call, pairs: &mut [Pair]) -> Result<(Latencies, Vec<Latencies>)> {
    let load = OpenLoop {
        rate: RATE,
        connections: CONNECTIONS,
        slice: SLICE,
    };
    let mut alone = Latencies::default();
    let mut through: Vec<_> = pairs.iter().map(|_| Latencies::default()).collect();
    for slice in 0..=SLICES {
        let counted = slice > 0;
        let latencies = load.run(direct).await?;
        if counted {
            alone.extend(latencies);
        }
        for (pair, through) in pairs.iter_mut().zip(&mut through) {
            pair.mark();
            let latencies = load.run(pair.call()).await?;
            if counted {
                pair.count(latencies.count());
                through.extend(latencies);
            }
        }
    }
    Ok((alone, through))
}

async fn at_most(direct: Call, pairs: &mut [Pair]) -> Result<()> {
    println!(
        "| path | calls/s | caller CPU µs | callee CPU µs | caller RSS MB | callee RSS MB |\n|---|---|---|---|---|---|"
    );
    println!("| direct | {:.0} | | | | |", median(direct).await?);
    for pair in pairs {
        FLOOD.run(pair.call()).await?;
        pair.begin();
        let calls = median(pair.call()).await?;
        pair.count(SLICES * FLOOD.count());
        let [caller, callee] = pair.cpu_microseconds_per_request();
        let [caller_rss, callee_rss] = pair.rss_megabytes();
        println!(
            "| {} | {calls:.0} | {caller:.0} | {callee:.0} | {caller_rss:.1} | {callee_rss:.1} |",
            pair.name()
        );
    }
    Ok(())
}

/// Calls a second.
async fn median(call: Call) -> Result<f64> {
    let mut slices = Vec::new();
    for _ in 0..SLICES {
        slices.push(FLOOD.count() as f64 / FLOOD.run(call).await?.as_secs_f64());
    }
    slices.sort_unstable_by(f64::total_cmp);
    Ok(slices[SLICES / 2])
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

fn report((direct, through): &(Latencies, Vec<Latencies>), pairs: &[Pair]) {
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
