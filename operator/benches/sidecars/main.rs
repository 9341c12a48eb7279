//! What sidecars cost their operator: one binary, or several in turn.
//!
//! ```sh
//! cargo bench -p trilby-operator --bench sidecars -- [MODE] target/release/operator [OTHER_OPERATOR ...]
//! ```
//!
//! Prints Markdown tables. Operator, API server and sidecars share the machine. Modes:
//!
//! - `streams`, unless another is named: `SIDECARS=1000` connections with mutual TLS, each with the seven streams, our
//!   stream of reports and the four lists a minute of a sidecar. From the request of a `kubectl apply` to the last of them, memory and
//!   CPU for each, and what happens when all come back at once.
//! - `neighbours`: memory while `PODS=50000` and `SECRETS=20000`, which are none of the operator's business, come into
//!   the API server; and after a restart among them.
//!
//! An operator has the rights that the chart gives ours, or with `ALL_RIGHTS=1` all there are, as upstream's needs. With `PINGS=0`
//! sidecars do not ask every 10 s whether it is still there, which upstream's answers by ending the connection.
//!
//! Ten thousand sidecars take some 20,500 open files altogether, and each process half of them: `ulimit -n 20000`.

#![allow(clippy::print_stdout, reason = "the table is the output")]
#![allow(
    clippy::unwrap_used,
    reason = "what helps a benchmark fails as it does"
)]

#[allow(dead_code, reason = "tests use more of it")]
#[path = "../../tests/process_operator/authority.rs"]
mod authority;
mod crowd;
mod neighbours;
#[allow(dead_code, reason = "tests use more of it")]
#[path = "../../tests/process_operator/rights.rs"]
mod rights;
mod scene;
mod sidecar;
mod streams;
mod wire;

use std::path::PathBuf;

#[tokio::main]
async fn main() {
    let mut arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let named = arguments
        .first()
        .is_some_and(|first| ["streams", "neighbours"].contains(&first.as_str()));
    let mode = if named {
        arguments.remove(0)
    } else {
        "streams".to_owned()
    };
    let binaries: Vec<PathBuf> = arguments
        .iter()
        .map(|binary| std::fs::canonicalize(binary).unwrap())
        .collect();
    assert!(!binaries.is_empty(), "name at least one operator");
    match mode.as_str() {
        "neighbours" => neighbours::run(&binaries).await,
        _ => streams::run(&binaries).await,
    }
}

/// A number from the environment.
pub(crate) fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
