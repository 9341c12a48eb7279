//! The connection to the API server.

use std::path::Path;

use anyhow::Context;
use kube::{Client, Config, config::Kubeconfig};

/// The namespaces that are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    All,
    Namespace(String),
}

/// A client for the cluster that the kubeconfig names; without one, in this order: that of `KUBECONFIG`, the cluster
/// this process runs in, that of `~/.kube/config`. Connects when it is first used.
pub(crate) async fn client(kubeconfig: Option<&Path>) -> anyhow::Result<Client> {
    let config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path)
                .with_context(|| format!("kubeconfig {}", path.display()))?;
            Config::from_custom_kubeconfig(file, &Default::default())
                .await
                .with_context(|| format!("kubeconfig {}", path.display()))?
        }
        None => match std::env::var_os("KUBECONFIG").filter(|path| !path.is_empty()) {
            Some(_) => Config::from_kubeconfig(&Default::default())
                .await
                .context("kubeconfig of KUBECONFIG")?,
            None => match Config::incluster() {
                Ok(config) => config,
                Err(_not_in_a_cluster) => Config::from_kubeconfig(&Default::default())
                    .await
                    .context("neither in a cluster nor is there a ~/.kube/config")?,
            },
        },
    };
    Client::try_from(config).context("cannot make a Kubernetes client")
}

/// One line that says why a request failed.
pub(crate) fn reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        error => chain(error),
    }
}

/// An error with its sources, each told once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        source = error.source();
    }
    text
}

/// Whether the API server refused a request with this HTTP status.
pub(crate) fn is_status(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}
