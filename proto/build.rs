//! Compiles the .proto files without an installed protoc.

use std::{env, fs, path::PathBuf};

use prost::Message as _;

/// Every file of the contract; files they import are found through the same root.
const FILES: &[&str] = &[
    "dapr/proto/common/v1/common.proto",
    "dapr/proto/components/v1/components.proto",
    "dapr/proto/internals/v1/internals.proto",
    "dapr/proto/operator/v1/operator.proto",
    "dapr/proto/placement/v1/placement.proto",
    "dapr/proto/runtime/v1/runtime.proto",
    "dapr/proto/scheduler/v1/scheduler.proto",
    "dapr/proto/sentry/v1/sentry.proto",
    "dapr/proto/workflows/v1/workflows.proto",
    "durabletask/backend/v1/backend.proto",
    "durabletask/orchestrator_service.proto",
];

/// What traces are exported with. Not ours to serve, so reflection does not show it.
const OPENTELEMETRY: &[&str] = &["opentelemetry/proto/collector/trace/v1/trace_service.proto"];

/// Additions of ours, each in a package of its own.
const ADDITIONS: &[&str] = &[
    "trilby/operator/v1/reports.proto",
    "trilby/placement/v1/election.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=dapr");
    println!("cargo::rerun-if-changed=durabletask");
    println!("cargo::rerun-if-changed=opentelemetry");
    println!("cargo::rerun-if-changed=trilby");
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".")
        .include_file("packages.rs")
        .compile_fds(descriptors)?;
    let additions = protox::compile(ADDITIONS, ["."])?;
    fs::write(out.join("additions.bin"), additions.encode_to_vec())?;
    tonic_prost_build::configure()
        .include_file("additions.rs")
        .compile_fds(additions)?;
    tonic_prost_build::configure()
        .bytes(".")
        .include_file("opentelemetry.rs")
        .compile_fds(protox::compile(OPENTELEMETRY, ["."])?)?;
    Ok(())
}
