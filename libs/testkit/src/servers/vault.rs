//! A real OpenBao, which speaks the API of Vault.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use bytes::Bytes;
use http::Request;
use serde_json::Value;

use crate::eventually::eventually;
use crate::http::{Client, Response};
use crate::ports::Port;
use crate::process::{Log, Process};
use crate::programs;
use crate::state_dir::StateDir;

/// The token that may do everything.
pub const ROOT_TOKEN: &str = "root";

/// A server in development mode: unsealed, with version 2 of the key-value engine at `secret/`. What it knows ends with
/// its process.
#[derive(Debug)]
pub struct Vault {
    port: Port,
    process: Option<Process>,
    dir: StateDir,
}

impl Vault {
    /// Starts one over plain TCP.
    ///
    /// # Panics
    /// If OpenBao is not installed or does not come up.
    pub async fn start() -> Self {
        let mut vault = Self::stopped();
        vault.resume().await;
        vault
    }

    /// Starts one over TLS, with an authority of its own.
    ///
    /// # Panics
    /// As [`Vault::start`].
    pub async fn with_tls() -> Self {
        let mut vault = Self::stopped();
        let folder = vault.tls_folder();
        fs::create_dir(&folder).expect("the directory is writable");
        let folder = format!("-dev-tls-cert-dir={}", folder.display());
        vault.process = Some(vault.spawn(&["-dev-tls", &folder]));
        eventually("openbao made its certificates", async || {
            let there = fs::metadata(vault.authority())?.len() > 0;
            let text = vault.log().text();
            match there && text.contains("server started") {
                true => Ok(()),
                false => Err(std::io::Error::other(text)),
            }
        })
        .await;
        vault
    }

    /// One that does not run yet: its address is known, and refuses connections until [`Vault::resume`].
    pub fn stopped() -> Self {
        Self {
            port: Port::free(),
            process: None,
            dir: StateDir::create("vault"),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The certificate of its authority, in PEM; with TLS only.
    pub fn authority(&self) -> PathBuf {
        self.tls_folder().join("vault-ca.pem")
    }

    fn tls_folder(&self) -> PathBuf {
        self.dir.join("tls")
    }

    /// What it wrote.
    pub fn log(&self) -> Log {
        Log::at(self.dir.join("log"))
    }

    /// Ends it at once.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn stop(&mut self) {
        let mut process = self.process.take().expect("openbao runs");
        process.kill().await;
    }

    /// Starts it over plain TCP on the same port, knowing nothing.
    ///
    /// # Panics
    /// If it runs already, is not installed, or does not come up.
    pub async fn resume(&mut self) {
        assert!(self.process.is_none(), "openbao already runs");
        self.process = Some(self.spawn(&[]));
        eventually("openbao has its engine", async || {
            let answer = self.ask("GET", "sys/internal/ui/mounts/secret", "").await?;
            answer.success().map(drop)
        })
        .await;
    }

    fn spawn(&self, more: &[&str]) -> Process {
        let program = programs::peer("servers/openbao").unwrap_or_else(|error| panic!("{error:#}"));
        // Otherwise it listens for others of a cluster, on the next port, which may be somebody's.
        let config = self.dir.join("config.hcl");
        fs::write(&config, "disable_clustering = true\n").expect("the directory is writable");
        let mut command = Command::new(program);
        command
            .args(["server", "-dev", "-dev-no-store-token"])
            .arg(format!("-config={}", config.display()))
            .arg(format!("-dev-root-token-id={ROOT_TOKEN}"))
            .arg(format!("-dev-listen-address={}", self.address()))
            .args(more);
        Process::spawn("openbao", command, self.log())
            .unwrap_or_else(|error| panic!("starting openbao: {error}"))
    }

    /// Asks its API, below `/v1/`, with the root token and a JSON body; over plain TCP only.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn ask(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Response> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}/v1/{path}", self.address()))
            .header("x-vault-token", ROOT_TOKEN)
            .body(Bytes::copy_from_slice(body.as_bytes()))?;
        Client::host().request(request).await
    }

    /// Writes a secret into `secret/`; gives its new version.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn put(&self, path: &str, values: &Value) -> u64 {
        let body = serde_json::json!({ "data": values }).to_string();
        let path = format!("secret/data/{path}");
        let answer = self.succeed("POST", &path, &body).await;
        answer["data"]["version"].as_u64().expect("a version")
    }

    /// A new token, with what `auth/token/create` takes.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn token(&self, what: &Value) -> String {
        let body = what.to_string();
        let answer = self.succeed("POST", "auth/token/create", &body).await;
        answer["auth"]["client_token"]
            .as_str()
            .expect("a token")
            .to_owned()
    }

    /// As [`Vault::ask`], for what has to succeed; null where it answers nothing.
    ///
    /// # Panics
    /// If it does not.
    pub async fn succeed(&self, method: &str, path: &str, body: &str) -> Value {
        let answer = self.ask(method, path, body).await;
        let answer = answer.and_then(Response::success);
        let answer = answer.unwrap_or_else(|error| panic!("openbao {method} {path}: {error:#}"));
        match answer.body.is_empty() {
            true => Value::Null,
            false => answer.json(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_it_knows_ends_with_its_process() {
        let mut vault = Vault::start().await;
        assert_eq!(vault.put("a", &serde_json::json!({"b": "c"})).await, 1);
        let read = async |vault: &Vault| vault.ask("GET", "secret/data/a", "").await.unwrap();
        let found = read(&vault).await.json();
        assert_eq!(found["data"]["data"]["b"], "c");
        vault.stop().await;
        vault.resume().await;
        assert_eq!(read(&vault).await.status, 404);
    }

    #[tokio::test]
    async fn with_tls_it_has_an_authority() {
        let vault = Vault::with_tls().await;
        let pem = fs::read_to_string(vault.authority()).unwrap();
        assert!(pem.starts_with("-----BEGIN CERTIFICATE"), "{pem}");
    }
}
