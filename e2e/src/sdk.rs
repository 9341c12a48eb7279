//! Official SDKs as clients of our sidecars: programs of `e2e/sdk/`, which `e2e/peers.sh` installs.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use tokio::process::Command;
use trilby_testkit::programs;

use crate::sidecars::Sidecars;

/// How long a client may take, the start of its interpreter included: seconds alone, far more beside many compilers.
const PATIENCE: Duration = Duration::from_secs(300);

/// What the client of an SDK saw, as it prints it.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Seen {
    /// The app id of its sidecar, from the metadata.
    pub id: String,
    /// What it had put into the metadata; none if the SDK cannot do that.
    pub note: Option<String>,
    /// The value of a key after it was saved.
    pub saved: String,
    /// The value of that key after it was deleted.
    pub deleted: String,
    /// What the other app answered.
    pub answer: String,
}

/// What a client made with the SDK for `language` sees that uses the sidecar of `caller`.
///
/// # Errors
/// If the SDK is not installed, or its client fails or does not end.
pub async fn run(sidecars: &Sidecars, language: &str) -> Result<Seen> {
    let mut command = Command::new(programs::peer(&format!("sdk/{language}"))?);
    command
        .args(["callee", "store"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", sidecars.dir.path())
        .env(
            "DAPR_HTTP_PORT",
            sidecars.caller.http_address().port().to_string(),
        )
        .env(
            "DAPR_GRPC_PORT",
            sidecars.caller.grpc_address().port().to_string(),
        )
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output
        .with_context(|| format!("{language}: the client does not end within {PATIENCE:?}"))??;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("{language}: {}: {said}{why}", output.status);
    }
    // SDKs may log to the same place; the client's own line is the last.
    let last = said.lines().next_back().unwrap_or_default();
    serde_json::from_str(last).with_context(|| format!("{language} printed {said:?}"))
}
