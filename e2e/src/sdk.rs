//! Official SDKs as clients of our sidecars: programs of `e2e/sdk/`, which `e2e/peers.sh` installs, beside two sidecars.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::process::Command;
use trilby_testkit::programs;
use trilby_testkit::services::Daprd;
use trilby_testkit::state_dir::StateDir;

/// How long a client may take, the start of its interpreter included.
const PATIENCE: Duration = Duration::from_secs(120);

const STORE: &str = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: store\nspec:\n  \
                     type: state.in-memory\n  version: v1\n";

/// What the client of an SDK saw, as it prints it.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Seen {
    /// The app id of its sidecar, from the metadata.
    pub id: String,
    /// What it had put into the metadata.
    pub note: String,
    /// The value of a key after it was saved.
    pub saved: String,
    /// The value of that key after it was deleted.
    pub deleted: String,
    /// What the other app answered.
    pub answer: String,
}

/// The sidecars of two apps that know each other: `caller` has a state store, `callee` an app.
#[derive(Debug)]
pub struct Scene {
    caller: Daprd,
    _callee: Daprd,
    dir: StateDir,
}

impl Scene {
    /// Starts both.
    ///
    /// # Errors
    /// If the app has no port, or a file cannot be written.
    pub async fn start() -> Result<Self> {
        let dir = StateDir::create("sdk");
        let configuration = dir.join("config.yaml");
        let names = dir.join("names.db");
        let text = format!(
            "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: names\nspec:\n  \
             nameResolution:\n    component: sqlite\n    configuration:\n      connectionString: {}\n",
            names.display()
        );
        std::fs::write(&configuration, text)?;
        let resources = dir.join("resources");
        std::fs::create_dir(&resources)?;
        std::fs::write(resources.join("store.yaml"), STORE)?;
        let daprd = |app_id| Daprd::new(app_id).arg("--config", configuration.display());
        let mut caller = daprd("caller").arg("--resources-path", resources.display());
        let mut callee = daprd("callee").app_port(echo().await?);
        callee.start().await;
        // The client waits for this one by itself.
        caller.launch();
        Ok(Self {
            caller,
            _callee: callee,
            dir,
        })
    }

    /// What a client made with the SDK for `language` sees that uses the sidecar of `caller`.
    ///
    /// # Errors
    /// If the SDK is not installed, or its client fails or does not end.
    pub async fn run(&self, language: &str) -> Result<Seen> {
        let mut command = Command::new(programs::peer(&format!("sdk/{language}"))?);
        command
            .args(["callee", "store"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env(
                "DAPR_HTTP_PORT",
                self.caller.http_address().port().to_string(),
            )
            .env(
                "DAPR_GRPC_PORT",
                self.caller.grpc_address().port().to_string(),
            )
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, command.output()).await;
        let output = output.with_context(|| {
            format!("{language}: the client does not end within {PATIENCE:?}")
        })??;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            bail!("{language}: {}: {said}{why}", output.status);
        }
        // SDKs may log to the same place; the client's own line is the last.
        let last = said.lines().next_back().unwrap_or_default();
        serde_json::from_str(last).with_context(|| format!("{language} printed {said:?}"))
    }
}

/// An app that answers with what it was sent: `POST /orders/7 {"n":1}`. Ends with the test.
async fn echo() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answering = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer));
            tokio::spawn(async move { drop(answering.await) });
        }
    });
    Ok(port)
}

async fn answer(request: Request<Incoming>) -> Result<Response<String>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let body = String::from_utf8_lossy(&body);
    Ok(Response::new(format!(
        "{} {} {body}",
        head.method, head.uri
    )))
}
