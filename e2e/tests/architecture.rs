//! The dependency arrows of ARCHITECTURE.md, checked against `cargo metadata`: who may use whom inside the
//! workspace, and who may see a Kubernetes client. A new arrow is a decision: it is made here, on purpose.

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

/// Every crate of ours with the crates of ours that it may depend on. Development dependencies may also be
/// `trilby-testkit`, and anything that a service's own tests start.
const ARROWS: &[(&str, &[&str])] = &[
    // Leaves: no runtime, no sockets, no files.
    ("trilby-go-syntax", &[]),
    ("trilby-hash-ring", &[]),
    ("trilby-proto", &[]),
    ("trilby-crds", &[]),
    ("trilby-sidecar-args", &["trilby-go-syntax"]),
    ("trilby-spelling", &[]),
    (
        "trilby-component-catalogue",
        &["trilby-go-syntax", "trilby-spelling"],
    ),
    // Foundations, which never see each other.
    ("trilby-identity", &["trilby-go-syntax"]),
    ("trilby-bootstrap", &["trilby-go-syntax"]),
    (
        "trilby-components",
        &["trilby-component-catalogue", "trilby-go-syntax"],
    ),
    ("trilby-placement-protocol", &["trilby-hash-ring"]),
    ("trilby-grpc", &["trilby-identity"]),
    ("trilby-https", &[]),
    ("trilby-profiling", &[]),
    (
        "trilby-sentry-client",
        &[
            "trilby-go-syntax",
            "trilby-grpc",
            "trilby-identity",
            "trilby-proto",
        ],
    ),
    ("trilby-events", &[]),
    ("trilby-lease", &[]),
    (
        "trilby-webhook",
        &["trilby-bootstrap", "trilby-grpc", "trilby-identity"],
    ),
    // What those over SQL share.
    (
        "trilby-components-sql",
        &[
            "trilby-component-catalogue",
            "trilby-components",
            "trilby-go-syntax",
        ],
    ),
    // One vendor each.
    (
        "trilby-components-rabbitmq",
        &["trilby-components", "trilby-go-syntax", "trilby-https"],
    ),
    (
        "trilby-components-redis",
        &[
            "trilby-component-catalogue",
            "trilby-components",
            "trilby-go-syntax",
        ],
    ),
    (
        "trilby-components-consul",
        &["trilby-components", "trilby-go-syntax", "trilby-https"],
    ),
    (
        "trilby-components-cron",
        &["trilby-components", "trilby-go-syntax"],
    ),
    (
        "trilby-components-crypto",
        &["trilby-components", "trilby-https"],
    ),
    (
        "trilby-components-http-binding",
        &["trilby-components", "trilby-go-syntax", "trilby-https"],
    ),
    ("trilby-components-http-middleware", &["trilby-components"]),
    ("trilby-components-kubernetes", &["trilby-components"]),
    ("trilby-components-local", &["trilby-components"]),
    ("trilby-components-mdns", &["trilby-components"]),
    ("trilby-components-etcd", &["trilby-components"]),
    (
        "trilby-components-kafka",
        &["trilby-components", "trilby-go-syntax"],
    ),
    ("trilby-components-memcached", &["trilby-components"]),
    (
        "trilby-components-mongodb",
        &["trilby-components", "trilby-go-syntax"],
    ),
    (
        "trilby-components-mysql",
        &[
            "trilby-components",
            "trilby-components-sql",
            "trilby-go-syntax",
            "trilby-https",
        ],
    ),
    (
        "trilby-components-postgresql",
        &[
            "trilby-components",
            "trilby-components-sql",
            "trilby-go-syntax",
            "trilby-https",
        ],
    ),
    ("trilby-components-sqlite", &["trilby-components"]),
    (
        "trilby-components-oauth2",
        &["trilby-components", "trilby-https"],
    ),
    ("trilby-components-opa", &["trilby-components"]),
    (
        "trilby-components-pluggable",
        &["trilby-components", "trilby-grpc", "trilby-proto"],
    ),
    (
        "trilby-components-vault",
        &["trilby-components", "trilby-https"],
    ),
    (
        "trilby-components-wasm",
        &["trilby-components", "trilby-https"],
    ),
    // The services: everything above, never one another.
    ("trilby-operator", OPERATOR),
    ("trilby-injector", CONTROL_PLANE),
    ("trilby-sentry", CONTROL_PLANE),
    ("trilby-placement", CONTROL_PLANE),
    (
        "trilby-actors",
        &[
            "trilby-components",
            "trilby-go-syntax",
            "trilby-grpc",
            "trilby-hash-ring",
            "trilby-placement-protocol",
            "trilby-proto",
            "trilby-resiliency",
        ],
    ),
    ("trilby-resiliency", &["trilby-crds", "trilby-go-syntax"]),
    (
        "trilby-pubsub",
        &[
            "trilby-components",
            "trilby-crds",
            "trilby-go-syntax",
            "trilby-proto",
        ],
    ),
    (
        "trilby-resources",
        &[
            "trilby-component-catalogue",
            "trilby-components",
            "trilby-crds",
            "trilby-go-syntax",
            "trilby-grpc",
            "trilby-proto",
        ],
    ),
    (
        "trilby-telemetry",
        &["trilby-crds", "trilby-go-syntax", "trilby-proto"],
    ),
    (
        "trilby-sidecar",
        &[
            "trilby-actors",
            "trilby-bootstrap",
            "trilby-component-catalogue",
            "trilby-components",
            "trilby-components-consul",
            "trilby-components-cron",
            "trilby-components-etcd",
            "trilby-components-crypto",
            "trilby-components-http-binding",
            "trilby-components-http-middleware",
            "trilby-components-kubernetes",
            "trilby-components-local",
            "trilby-components-mdns",
            "trilby-components-kafka",
            "trilby-components-memcached",
            "trilby-components-mongodb",
            "trilby-components-mysql",
            "trilby-components-oauth2",
            "trilby-components-opa",
            "trilby-components-pluggable",
            "trilby-components-postgresql",
            "trilby-components-rabbitmq",
            "trilby-components-redis",
            "trilby-components-sqlite",
            "trilby-components-vault",
            "trilby-components-wasm",
            "trilby-crds",
            "trilby-go-syntax",
            "trilby-grpc",
            "trilby-https",
            "trilby-identity",
            "trilby-profiling",
            "trilby-proto",
            "trilby-pubsub",
            "trilby-resiliency",
            "trilby-resources",
            "trilby-sentry-client",
            "trilby-sidecar-args",
            "trilby-telemetry",
        ],
    ),
    // Development only: nothing may depend on these but as a development dependency.
    (
        "trilby-testkit",
        &["trilby-grpc", "trilby-identity", "trilby-proto"],
    ),
    ("trilby-fuzz", FUZZED),
    (
        "trilby-e2e",
        &["trilby-identity", "trilby-proto", "trilby-testkit"],
    ),
];

/// The operator says what sidecars would refuse, so it asks what they decide with, where that is pure.
const OPERATOR: &[&str] = &[
    "trilby-bootstrap",
    "trilby-component-catalogue",
    "trilby-crds",
    "trilby-go-syntax",
    "trilby-grpc",
    "trilby-identity",
    "trilby-events",
    "trilby-lease",
    "trilby-proto",
    "trilby-resiliency",
    "trilby-sentry-client",
    "trilby-webhook",
];

const CONTROL_PLANE: &[&str] = &[
    "trilby-bootstrap",
    "trilby-crds",
    "trilby-go-syntax",
    "trilby-grpc",
    "trilby-hash-ring",
    "trilby-https",
    "trilby-identity",
    "trilby-events",
    "trilby-lease",
    "trilby-placement-protocol",
    "trilby-proto",
    "trilby-sentry-client",
    "trilby-sidecar-args",
    "trilby-spelling",
    "trilby-webhook",
];

/// Whose decoders are fuzzed.
const FUZZED: &[&str] = &[
    "trilby-actors",
    "trilby-bootstrap",
    "trilby-components",
    "trilby-components-cron",
    "trilby-components-crypto",
    "trilby-crds",
    "trilby-identity",
    "trilby-injector",
    "trilby-operator",
    "trilby-placement-protocol",
    "trilby-proto",
    "trilby-pubsub",
    "trilby-sentry",
    "trilby-sidecar",
    "trilby-sidecar-args",
    "trilby-telemetry",
];

/// Crates that may use a Kubernetes client.
const KUBERNETES_USERS: &[&str] = &[
    "trilby-operator",
    "trilby-injector",
    "trilby-placement",
    "trilby-sentry",
    "trilby-events",
    "trilby-lease",
    "trilby-components-kubernetes",
    "trilby-webhook",
    "trilby-testkit",
    "trilby-e2e",
];

#[test]
fn dependencies_follow_the_arrows() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (name, dependencies) in normal_dependencies() {
        let Some(allowed) = allowed.get(name.as_str()) else {
            wrong.push(format!("{name} has no place in the map of arrows"));
            continue;
        };
        for dependency in dependencies
            .iter()
            .filter(|name| name.starts_with("trilby-"))
        {
            if !allowed.contains(&dependency.as_str()) {
                wrong.push(format!("{name} must not depend on {dependency}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_the_named_crates_use_a_kubernetes_client() {
    let users: Vec<String> = normal_dependencies()
        .into_iter()
        .filter(|(_, dependencies)| dependencies.iter().any(|name| name == "kube"))
        .map(|(name, _)| name)
        .filter(|name| !KUBERNETES_USERS.contains(&name.as_str()))
        .collect();
    assert!(
        users.is_empty(),
        "these crates must not use a Kubernetes client: {users:?}"
    );
}

/// Workspace members with the names of their normal (not development, not build) dependencies.
fn normal_dependencies() -> Vec<(String, Vec<String>)> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--locked",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("dependencies");
            let normal = dependencies
                .iter()
                .filter(|dependency| dependency["kind"].is_null());
            (
                text(package, "name"),
                normal.map(|dependency| text(dependency, "name")).collect(),
            )
        })
        .collect()
}
