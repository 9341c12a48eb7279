//! What a review costs: one injector, or several in turn.
//!
//! ```sh
//! cargo bench -p trilby-injector --bench reviews -- [pods] target/release/injector [OTHER_INJECTOR ...]
//! ```
//!
//! Prints a Markdown table. With `pods` it is of memory, while `PODS=50000` come into the API server, of which a tenth asks for
//! a sidecar and `LACKING=0` of them lack theirs, and after a restart among them. Else `RATE=500` reviews a second go to the injector for `SECONDS=20`, as the API
//! server's do: over 8 connections with HTTP/2, or over as many of HTTP/1.1 as it takes if the injector has no other; and latency counts from the moment a review was due. Injector, API server and load share the machine. An
//! injector has the rights of the tests, or with `ALL_RIGHTS=1` all there are, as upstream's needs.

#![allow(clippy::print_stdout, reason = "the table is the output")]
#![allow(
    clippy::unwrap_used,
    reason = "what helps a benchmark fails as it does"
)]

#[allow(dead_code, reason = "tests use more of it")]
#[path = "../../tests/process_injector/authority.rs"]
mod authority;
#[allow(dead_code, reason = "tests use more of it")]
#[path = "../../tests/process_injector/installation.rs"]
mod installation;
mod load;
mod pods;

use std::{path::PathBuf, time::Duration};

use installation::{ACCOUNT, Installation, Rights};
use load::{Figures, Load};

#[tokio::main]
async fn main() {
    let mut arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let of_pods = arguments.first().is_some_and(|first| first == "pods");
    if of_pods {
        arguments.remove(0);
    }
    let binaries: Vec<PathBuf> = arguments
        .iter()
        .map(|binary| std::fs::canonicalize(binary).unwrap())
        .collect();
    assert!(!binaries.is_empty(), "name at least one injector");
    if of_pods {
        pods::run(binaries).await;
        return;
    }
    println!(
        "| injector | reviews/s | p50 ms | p99 ms | CPU µs each | RSS MB | anonymous MB | idle RSS MB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for binary in binaries {
        println!("{}", row(binary).await);
    }
}

async fn row(binary: PathBuf) -> String {
    let name = binary.display().to_string();
    let mut installation = Installation::prepared(Rights::Full).await;
    if setting("ALL_RIGHTS", 0) == 1 {
        grant_all(&installation).await;
    }
    installation.injector = installation.injector.binary(binary);
    installation.start_authority();
    installation.register_webhook().await;
    installation.injector.start().await;
    // What follows the start at once is over.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let idle = installation.injector.memory();
    let load = Load {
        address: installation.injector.https_address(),
        server: format!("dapr-sidecar-injector.{}.svc", installation.namespace),
        anchors: installation.anchors().to_owned(),
        rate: setting("RATE", 500),
        seconds: setting("SECONDS", 20),
    };
    let before = installation.injector.cpu();
    let Figures { count, p50, p99 } = load.run().await;
    let cpu = installation.injector.cpu() - before;
    let memory = installation.injector.memory();
    let (p50, p99) = (p50.as_secs_f64() * 1e3, p99.as_secs_f64() * 1e3);
    let each = cpu.as_micros() / u128::from(count);
    let [rss, anonymous, idle] = [memory.resident, memory.anonymous, idle.resident].map(megabytes);
    let rate = u64::from(count) / load.seconds;
    format!(
        "| {name} | {rate} | {p50:.2} | {p99:.2} | {each} | {rss:.1} | {anonymous:.1} | {idle:.1} |"
    )
}

async fn grant_all(installation: &Installation) {
    let account = format!("--serviceaccount={}:{ACCOUNT}", installation.namespace);
    let all = [
        "create",
        "clusterrolebinding",
        "all",
        "--clusterrole=cluster-admin",
    ];
    installation
        .api
        .kubectl(&[&all[..], &[account.as_str()]].concat())
        .await;
}

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
