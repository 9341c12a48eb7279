//! Official SDKs as clients of our sidecars: programs of `e2e/sdk/`, which `e2e/peers.sh` installs.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{ChildStdout, Command};
use tokio::time::{sleep, timeout};
use trilby_testkit::programs;
use trilby_testkit::services::Daprd;

use crate::sidecars::Sidecars;
use crate::stores::Stores;

/// How long a client may take, the start of its interpreter included: seconds alone, far more beside many compilers.
const PATIENCE: Duration = Duration::from_secs(300);

/// How often a setting is written again, since nobody says when a subscription has begun.
const CHANGE_INTERVAL: Duration = Duration::from_millis(500);

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
    let mut command = client(language, &sidecars.caller, sidecars.dir.path())?;
    command.args(["client", "callee", "store"]);
    let output = timeout(PATIENCE, command.output()).await;
    let output = output.with_context(|| late(language))??;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("{language}: {}: {said}{why}", output.status);
    }
    // SDKs may log to the same place; the client's own line is the last.
    report(language, said.lines().next_back().unwrap_or_default())
}

/// What the client for `language` sees that uses the components of `stores`, by what it is about.
///
/// # Errors
/// If the SDK is not installed, or its client fails or does not end.
pub async fn use_stores(stores: &Stores, language: &str) -> Result<BTreeMap<String, String>> {
    let mut command = client(language, &stores.sidecar, stores.dir.path())?;
    let complaints = stores.dir.join("client.log");
    command
        .arg("stores")
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&complaints)?);
    let mut running = command.spawn()?;
    let said = running.stdout.take().context("its output is a pipe")?;
    let last = timeout(PATIENCE, change_when_awaited(stores, said)).await;
    let last = last.with_context(|| late(language))??;
    let status = timeout(PATIENCE, running.wait()).await;
    let status = status.with_context(|| late(language))??;
    if !status.success() {
        let why = std::fs::read_to_string(&complaints)?;
        bail!("{language}: {status}: {last}\n{why}");
    }
    report(language, &last)
}

/// Reads what a client says until it ends, and changes the setting from when it waits for that. Gives its last line.
async fn change_when_awaited(stores: &Stores, said: ChildStdout) -> Result<String> {
    let mut lines = BufReader::new(said).lines();
    let (mut last, mut awaited) = (String::new(), false);
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => {
                    awaited |= line == "subscribed";
                    last = line;
                }
                None => return Ok(last),
            },
            () = sleep(CHANGE_INTERVAL), if awaited => stores.change(),
        }
    }
}

fn client(language: &str, sidecar: &Daprd, home: &Path) -> Result<Command> {
    let mut command = Command::new(programs::peer(&format!("sdk/{language}"))?);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("DAPR_HTTP_PORT", sidecar.http_address().port().to_string())
        .env("DAPR_GRPC_PORT", sidecar.grpc_address().port().to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    Ok(command)
}

fn report<T: DeserializeOwned>(language: &str, line: &str) -> Result<T> {
    serde_json::from_str(line).with_context(|| format!("{language} printed {line:?}"))
}

fn late(language: &str) -> String {
    format!("{language}: the client does not end within {PATIENCE:?}")
}
