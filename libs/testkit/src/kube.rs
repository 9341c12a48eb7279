//! A handle on a running Kubernetes, in the words of `kubectl` and `helm`.
//!
//! Methods named `try_…` give an error; the others panic with the command, what it wrote and why it failed, for a test
//! has nothing better to do.

mod helm;
mod identity;
mod objects;
mod rights;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::eventually::{self, eventually};
use crate::network::Network;
use crate::programs;

/// Limit for one command that does not wait for anything itself.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(120);

/// Administrator's access to one Kubernetes.
#[derive(Clone, Debug)]
pub struct Kube {
    kubeconfig: PathBuf,
    /// Where the caches of `kubectl` and `helm` go.
    home: PathBuf,
    network: Network,
}

impl Kube {
    /// Access through a kubeconfig file whose server is in `network`; `home` takes the caches of the tools.
    pub fn new(kubeconfig: PathBuf, home: PathBuf, network: Network) -> Self {
        Self {
            kubeconfig,
            home,
            network,
        }
    }

    /// The administrator's kubeconfig file.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The network in which the API server's address is meant.
    pub fn network(&self) -> Network {
        self.network
    }

    /// Runs `kubectl` with these arguments and gives its standard output.
    ///
    /// # Panics
    /// If it fails.
    pub async fn kubectl(&self, arguments: &[&str]) -> String {
        or_panic(self.try_kubectl(arguments).await)
    }

    /// Runs `kubectl` with these arguments and gives its standard output.
    ///
    /// # Errors
    /// If it fails; the text has the command and its standard error.
    pub async fn try_kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.run("kubectl", arguments, "").await
    }

    /// Runs `kubectl` with this text as its standard input (`-f -`) and gives its standard output.
    ///
    /// # Panics
    /// If it fails.
    pub async fn kubectl_with_input(&self, arguments: &[&str], input: &str) -> String {
        or_panic(self.try_kubectl_with_input(arguments, input).await)
    }

    /// Runs `kubectl` with this text as its standard input (`-f -`) and gives its standard output.
    ///
    /// # Errors
    /// If it fails; the text has the command and its standard error.
    pub async fn try_kubectl_with_input(&self, arguments: &[&str], input: &str) -> Result<String> {
        self.run("kubectl", arguments, input).await
    }

    /// Applies manifests of YAML or JSON.
    ///
    /// # Panics
    /// If the API server refuses one.
    pub async fn apply(&self, manifests: &str) {
        or_panic(self.try_apply(manifests).await);
    }

    /// Applies manifests of YAML or JSON.
    ///
    /// # Errors
    /// If the API server refuses one; the text has its reason.
    pub async fn try_apply(&self, manifests: &str) -> Result<String> {
        self.run("kubectl", &["apply", "-f", "-"], manifests).await
    }

    /// Deletes what the manifests name and waits until it is gone; what is not there is no failure.
    ///
    /// # Panics
    /// If the API server refuses.
    pub async fn delete(&self, manifests: &str) {
        let arguments = ["delete", "--ignore-not-found", "-f", "-"];
        or_panic(self.run("kubectl", &arguments, manifests).await);
    }

    /// Reads an object as JSON: `get_json("ns", "deployment/app")`, or a list: `get_json("ns", "pods")`.
    ///
    /// # Panics
    /// If it is not there.
    pub async fn get_json(&self, namespace: &str, what: &str) -> Value {
        or_panic(self.try_get_json(namespace, what).await)
    }

    /// Reads an object as JSON.
    ///
    /// # Errors
    /// If it is not there.
    pub async fn try_get_json(&self, namespace: &str, what: &str) -> Result<Value> {
        let text = self
            .try_kubectl(&["get", "-n", namespace, "-o", "json", what])
            .await?;
        serde_json::from_str(&text).with_context(|| format!("reading {what}"))
    }

    /// What a container wrote.
    ///
    /// # Panics
    /// If there is no such container.
    pub async fn logs(&self, namespace: &str, pod: &str, container: &str) -> String {
        self.kubectl(&["logs", "-n", namespace, pod, "-c", container])
            .await
    }

    /// Runs a command in a container and gives its standard output.
    ///
    /// # Panics
    /// If it fails.
    pub async fn exec(&self, namespace: &str, target: (&str, &str), command: &[&str]) -> String {
        let (pod, container) = target;
        let mut arguments = vec!["exec", "-n", namespace, pod, "-c", container, "--"];
        arguments.extend(command);
        self.kubectl(&arguments).await
    }

    /// Waits until a workload is rolled out or a pod is Ready: `wait_ready("ns", "deployment/app")`.
    ///
    /// # Panics
    /// If it is not within the patience of the tests; the message has its pods and events.
    pub async fn wait_ready(&self, namespace: &str, what: &str) {
        let limit = format!("--timeout={}s", eventually::PATIENCE.as_secs());
        let mut arguments = if what.starts_with("pod") {
            vec!["wait", "--for=condition=Ready"]
        } else {
            vec!["rollout", "status"]
        };
        arguments.extend(["-n", namespace, what, &limit]);
        if let Err(error) = self.try_kubectl(&arguments).await {
            panic!("{error:#}\n{}", self.describe(namespace).await);
        }
    }

    /// Pods and events of a namespace, for the message of a failing test.
    pub async fn describe(&self, namespace: &str) -> String {
        let mut text = String::new();
        for arguments in [
            &["get", "pods", "-o", "wide", "-n", namespace][..],
            &["get", "events", "--sort-by=.lastTimestamp", "-n", namespace],
        ] {
            match self.try_kubectl(arguments).await {
                Ok(output) => text.push_str(&output),
                Err(error) => text.push_str(&format!("{error:#}\n")),
            }
        }
        text
    }

    /// Waits until `probe`, given this handle, succeeds.
    ///
    /// # Panics
    /// If it does not within [`eventually::PATIENCE`]; the message has `what` and the last error.
    pub async fn eventually<T, P>(&self, what: &str, mut probe: P) -> T
    where
        P: AsyncFnMut(&Self) -> Result<T>,
    {
        eventually(what, async || {
            // The whole chain: anyhow shows only the outermost by itself.
            probe(self).await.map_err(|error| format!("{error:#}"))
        })
        .await
    }

    async fn run(&self, program: &str, arguments: &[&str], input: &str) -> Result<String> {
        let what = format!("{program} {}", arguments.join(" "));
        let mut child = self
            .command(program)?
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| what.clone())?;
        let mut stdin = child.stdin.take().context("stdin was asked for")?;
        let exchange = async move {
            // A program that fails early closes its input: its own message says more than the broken pipe.
            stdin.write_all(input.as_bytes()).await.ok();
            drop(stdin);
            child.wait_with_output().await
        };
        let output = tokio::time::timeout(COMMAND_TIMEOUT, exchange)
            .await
            .with_context(|| format!("`{what}` still runs after {COMMAND_TIMEOUT:?}"))??;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            bail!("`{what}` failed ({}): {}", output.status, stderr.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The command line that runs one of Kubernetes' client programs against this cluster.
    ///
    /// # Errors
    /// If a program is missing.
    pub fn command(&self, program: &str) -> Result<Command> {
        let program = programs::kubernetes(program)?;
        let mut command = match self.network {
            Network::Host => Command::new(program),
            Network::OfProcess(pid) => {
                let mut command = Command::new(programs::system("nsenter")?);
                command
                    .args(["-t", &pid.to_string(), "-n", "--"])
                    .arg(program);
                command
            }
        };
        command
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBECACHEDIR", self.home.join("kube-cache"))
            .env("HELM_CACHE_HOME", self.home.join("helm-cache"))
            .env("HELM_CONFIG_HOME", self.home.join("helm-config"))
            .env("HELM_DATA_HOME", self.home.join("helm-data"));
        Ok(command)
    }
}

fn or_panic<T>(outcome: Result<T>) -> T {
    outcome.unwrap_or_else(|error| panic!("{error:#}"))
}
