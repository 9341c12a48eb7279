//! What a program costs when idle, and how long it takes to become ready: every service, from one directory or
//! from several side by side, in turn, against one real API server, sentry and Redis.
//!
//! ```sh
//! cargo bench -p trilby-e2e --bench footprint -- target/release [OTHER_DIRECTORY ...]
//! ```
//!
//! Prints a Markdown table: size of the file, resident and anonymous memory after [`IDLE`], and the median time from
//! starting the process to its health endpoint's first 200, over [`RUNS`] runs.

#![allow(clippy::print_stdout, reason = "the table is the output")]

#[path = "footprint/process.rs"]
mod process;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use process::{Sample, measure};
use serde_json::json;
use trilby_testkit::ApiServer;
use trilby_testkit::mesh::Mesh;
use trilby_testkit::servers::redis::Redis;
use trilby_testkit::services::Sentry;

/// Runs of each program; the table shows medians.
const RUNS: usize = 5;
/// How long a program is left alone, once ready, before its memory is read.
const IDLE: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> Result<()> {
    let directories = directories()?;
    let api = ApiServer::start().await;
    let mesh = Mesh::start(&api).await;
    let app = AppNamespace::prepare(&mesh).await;

    println!("| program | directory | file MB | RSS MB | anonymous MB | ready ms |");
    println!("|---|---|---|---|---|---|");
    for program in ["sentry", "operator", "injector", "placement", "daprd"] {
        let mut samples = vec![Vec::new(); directories.len()];
        for _ in 0..RUNS {
            for (directory, samples) in directories.iter().zip(&mut samples) {
                if !directory.join(program).is_file() {
                    continue; // another implementation may be measured in part
                }
                samples.push(run(program, directory.join(program), &mesh, &app).await?);
            }
        }
        for (directory, samples) in directories.iter().zip(samples) {
            if samples.is_empty() {
                continue;
            }
            println!("{}", Sample::median(samples).row(program, directory)?);
        }
    }
    Ok(())
}

/// The arguments that are directories; cargo adds flags of its own.
fn directories() -> Result<Vec<PathBuf>> {
    let arguments = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'));
    let directories: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    ensure!(
        !directories.is_empty(),
        "name at least one directory with the five programs"
    );
    directories
        .into_iter()
        .map(|path| {
            path.canonicalize()
                .with_context(|| format!("{}", path.display()))
        })
        .collect()
}

/// A namespace with one Redis state store.
struct AppNamespace {
    name: String,
    _redis: Redis,
}

impl AppNamespace {
    async fn prepare(mesh: &Mesh) -> Self {
        let redis = Redis::start().await;
        let name = mesh.kube().namespace("footprint").await;
        let component = json!({
            "apiVersion": "dapr.io/v1alpha1", "kind": "Component",
            "metadata": {"name": "store", "namespace": name},
            "spec": {"type": "state.redis", "version": "v1", "metadata": [
                {"name": "redisHost", "value": redis.address().to_string()},
            ]},
        });
        mesh.kube().apply(&component.to_string()).await;
        Self {
            name,
            _redis: redis,
        }
    }
}

async fn run(program: &str, file: PathBuf, mesh: &Mesh, app: &AppNamespace) -> Result<Sample> {
    match program {
        "sentry" => {
            let service = Sentry::new().kubernetes(mesh.kube().kubeconfig(), mesh.namespace());
            // Upstream's watches the directory even where it uses the API objects.
            let watched = service.file("mark", "").with_file_name("credentials");
            std::fs::create_dir_all(&watched)?;
            let service = service.arg("--issuer-credentials", watched.display());
            measure(
                service.arg("--trust-domain", "cluster.local").binary(file),
                IDLE,
            )
            .await
        }
        "operator" => {
            // Upstream's stops without the CRD whose conversion it serves.
            let operator = mesh.operator().await.env("ENABLE_WEBHOOKS", "false");
            measure(operator.binary(file), IDLE).await
        }
        "injector" => {
            mesh.kube().apply(&webhook()).await;
            measure(mesh.injector("e2e.local/daprd:1").await.binary(file), IDLE).await
        }
        "placement" => measure(mesh.placement().await.binary(file), IDLE).await,
        _ => {
            let mut operator = mesh.operator().await;
            operator.start().await;
            let daprd = mesh.daprd(&app.name, "idle", &operator).await;
            measure(daprd.binary(file), IDLE).await
        }
    }
}

/// The registration that the injector keeps up to date; it selects no pod.
fn webhook() -> String {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "dapr-sidecar-injector"},
        "webhooks": [{
            "name": "sidecar-injector.dapr.io", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"service": {"name": "none", "namespace": "default", "path": "/mutate"}},
            "objectSelector": {"matchLabels": {"no-such": "label"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        }],
    })
    .to_string()
}
