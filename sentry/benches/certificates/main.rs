//! What a certificate costs its authority: one binary, or several in turn.
//!
//! ```sh
//! cargo bench -p trilby-sentry --bench certificates -- [MODE] target/release/sentry [OTHER_SENTRY ...]
//! ```
//!
//! Prints a Markdown table. Clients and server share the machine. Modes:
//!
//! - `speed`, unless another is named: certificates a second and the server's CPU for each, with the validator that
//!   believes everybody, over connections that are kept, and over a new one for each.
//! - `memory`: the server's memory while it issues a million certificates; some minutes.
//! - `cold-start`: how long 2,000 pods of a real API server, which all ask at once, wait for their identities.

#![allow(clippy::print_stdout, reason = "the table is the output")]
#![allow(
    clippy::unwrap_used,
    reason = "what helps a benchmark fails as it does"
)]

mod cold_start;
mod memory;
mod speed;
mod standalone;

use std::path::PathBuf;

#[tokio::main]
async fn main() {
    let mut arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let modes = ["speed", "memory", "cold-start"];
    let named = arguments
        .first()
        .is_some_and(|first| modes.contains(&first.as_str()));
    let mode = if named {
        arguments.remove(0)
    } else {
        modes[0].to_owned()
    };
    let binaries: Vec<PathBuf> = arguments
        .iter()
        .map(|binary| std::fs::canonicalize(binary).unwrap())
        .collect();
    assert!(!binaries.is_empty(), "name at least one sentry");
    match mode.as_str() {
        "memory" => memory::run(&binaries).await,
        "cold-start" => cold_start::run(&binaries).await,
        _ => speed::run(&binaries).await,
    }
}
