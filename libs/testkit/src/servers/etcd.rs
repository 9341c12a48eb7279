//! A real etcd: one member, which is its whole cluster.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::ca::Credential;
use crate::eventually::eventually;
use crate::http::Client;
use crate::ports::Port;
use crate::process::{Log, Process};
use crate::programs;
use crate::state_dir::StateDir;

/// A member; its data lives as long as this value, also while it is stopped.
#[derive(Debug)]
pub struct Etcd {
    port: Port,
    peers: Port,
    tls: bool,
    /// Of its command line.
    arguments: Vec<String>,
    process: Option<Process>,
    dir: StateDir,
}

impl Etcd {
    /// Starts one.
    ///
    /// # Panics
    /// If etcd is not built or does not come up.
    pub async fn start() -> Self {
        Self::with_arguments(&[]).await
    }

    /// Starts one with more on its command line: `with_arguments(&["--max-txn-ops=1000"])`.
    ///
    /// # Panics
    /// If etcd is not built or does not come up.
    pub async fn with_arguments(arguments: &[&str]) -> Self {
        let mut etcd = Self::stopped();
        etcd.arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        etcd.resume().await;
        etcd
    }

    /// Starts one that takes TLS only, from clients that show a certificate of this authority (PEM). It may take a
    /// moment until it serves.
    ///
    /// # Panics
    /// If etcd is not built.
    pub fn with_tls(server: &Credential, clients: &str) -> Self {
        let mut etcd = Self::stopped();
        etcd.tls = true;
        for (flag, pem) in [
            ("--cert-file", server.certificate.as_str()),
            ("--key-file", server.key.as_str()),
            ("--trusted-ca-file", clients),
        ] {
            let path = etcd.dir.join(flag.trim_start_matches('-'));
            std::fs::write(&path, pem).expect("the directory is writable");
            etcd.arguments.push(format!("{flag}={}", path.display()));
        }
        etcd.arguments.push("--client-cert-auth".to_owned());
        etcd.process = Some(etcd.spawn());
        etcd
    }

    /// One that does not run yet: its address is known, and refuses connections until [`Etcd::resume`].
    pub fn stopped() -> Self {
        Self {
            port: Port::free(),
            peers: Port::free(),
            tls: false,
            arguments: Vec::new(),
            process: None,
            dir: StateDir::create("etcd"),
        }
    }

    /// Where clients reach it.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// What it wrote.
    pub fn log(&self) -> Log {
        Log::at(self.dir.join("log"))
    }

    /// Stops it; its data is saved.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn stop(&mut self) {
        let mut process = self.process.take().expect("etcd runs");
        process.terminate().await;
    }

    /// Ends it as a crash would.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn crash(&mut self) {
        let mut process = self.process.take().expect("etcd runs");
        process.kill().await;
    }

    /// Starts it on the same port, with the data it had.
    ///
    /// # Panics
    /// If it runs already, is not built, or does not come up.
    pub async fn resume(&mut self) {
        assert!(self.process.is_none(), "etcd already runs");
        self.process = Some(self.spawn());
        eventually("etcd answers", async || {
            let answer = self.call("kv/range", json!({"key": STANDARD.encode("a")}));
            answer.await.map(drop).map_err(|error| format!("{error:#}"))
        })
        .await;
    }

    fn spawn(&self) -> Process {
        let program = programs::kubernetes("etcd").unwrap_or_else(|error| panic!("{error:#}"));
        let scheme = if self.tls { "https" } else { "http" };
        let clients = format!("{scheme}://{}", self.address());
        let peers = format!("http://{}", self.peers.address());
        let mut command = Command::new(program);
        command
            .args(["--name=test", "--unsafe-no-fsync", "--log-level=warn"])
            .arg(format!("--data-dir={}", self.dir.join("data").display()))
            .arg(format!("--listen-client-urls={clients}"))
            .arg(format!("--advertise-client-urls={clients}"))
            .arg(format!("--listen-peer-urls={peers}"))
            .arg(format!("--initial-advertise-peer-urls={peers}"))
            .arg(format!("--initial-cluster=test={peers}"))
            .args(&self.arguments);
        Process::spawn("etcd", command, self.log())
            .unwrap_or_else(|error| panic!("starting etcd: {error}"))
    }

    /// The bytes at a key; `None` if there is no such key.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let found = self.find(key).await?;
        let value = found["value"].as_str().unwrap_or_default();
        Some(STANDARD.decode(value).expect("etcd writes Base64"))
    }

    /// Whether a key goes with a lease.
    ///
    /// # Panics
    /// If it does not answer, or there is no such key.
    pub async fn has_lease(&self, key: &str) -> bool {
        let found = self.find(key).await.expect("the key is there");
        found.get("lease").is_some()
    }

    /// How many leases there are.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn leases(&self) -> usize {
        let answer = self.call("lease/leases", json!({})).await;
        let answer = answer.unwrap_or_else(|error| panic!("etcd: {error:#}"));
        answer["leases"].as_array().map_or(0, Vec::len)
    }

    /// Writes a key.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn put(&self, key: &str, value: &[u8]) {
        let body = json!({"key": STANDARD.encode(key), "value": STANDARD.encode(value)});
        let answer = self.call("kv/put", body).await;
        answer.unwrap_or_else(|error| panic!("etcd, key {key}: {error:#}"));
    }

    async fn find(&self, key: &str) -> Option<Value> {
        let body = json!({"key": STANDARD.encode(key)});
        let answer = self.call("kv/range", body).await;
        let answer = answer.unwrap_or_else(|error| panic!("etcd, key {key}: {error:#}"));
        answer["kvs"].get(0).cloned()
    }

    /// One call of its JSON gateway.
    async fn call(&self, method: &str, body: Value) -> Result<Value> {
        let url = format!("http://{}/v3/{method}", self.address());
        let answer = Client::host().post(&url, &body.to_string()).await?;
        serde_json::from_slice(&answer.success()?.body).context("etcd answers with JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn data_outlives_a_stop_and_a_crash() {
        let mut etcd = Etcd::start().await;
        etcd.put("key", b"value").await;
        let address = etcd.address();
        etcd.stop().await;
        etcd.resume().await;
        assert_eq!(etcd.get("key").await.as_deref(), Some(&b"value"[..]));
        etcd.put("key", b"").await;
        etcd.crash().await;
        etcd.resume().await;
        assert_eq!(etcd.address(), address);
        assert_eq!(etcd.get("key").await.as_deref(), Some(&b""[..]));
        assert!(!etcd.has_lease("key").await);
        assert_eq!(etcd.get("other").await, None);
        assert_eq!(etcd.leases().await, 0);
    }
}
