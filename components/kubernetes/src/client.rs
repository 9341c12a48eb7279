//! How Kubernetes is reached, for every block.

use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use trilby_components::causes::with_causes;

/// A client by this kubeconfig; without one, by the pod's service account, else by the user's own kubeconfig.
///
/// # Errors
/// Why there is no access.
pub(crate) async fn connect(kubeconfig: Option<&Path>) -> Result<Client, String> {
    let refused =
        |error: &dyn std::error::Error| format!("no access to Kubernetes: {}", with_causes(error));
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
