//! How Kubernetes is reached, for every block.

use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// A client by this kubeconfig; without one, by the pod's service account, else by the user's own kubeconfig.
///
/// # Errors
/// Why there is no access.
pub(crate) async fn connect(kubeconfig: Option<&Path>) -> Result<Client, String> {
    let refused =
        |error: &dyn std::error::Error| format!("no access to Kubernetes: {}", chain(error));
    let config = match kubeconfig {
        None => Config::infer().await.map_err(|error| refused(&error))?,
        Some(path) => {
            let file = Kubeconfig::read_from(path).map_err(|error| refused(&error))?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .map_err(|error| refused(&error))?
        }
    };
    Client::try_from(config).map_err(|error| refused(&error))
}

/// The error and its causes, outermost first.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
