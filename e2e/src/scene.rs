//! Where the main path takes place: a cluster, and a namespace in it for the example apps.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use trilby_testkit::Kube;
use trilby_testkit::eventually::{PATIENCE, try_within};

use crate::forward::Forward;
use crate::images::DEFAULT_REGISTRY;

/// The namespace of the control plane.
pub const SYSTEM: &str = "dapr-system";

/// A cluster, the namespace of the apps in it, and where its images come from.
#[derive(Clone, Debug)]
pub struct Scene {
    kube: Kube,
    namespace: String,
    registry: String,
}

impl Scene {
    /// The apps go into `namespace`, which must be there; images are `<registry>/<name>:<tag>`.
    pub fn new(kube: Kube, namespace: &str, registry: &str) -> Self {
        Self {
            kube,
            namespace: namespace.to_owned(),
            registry: registry.to_owned(),
        }
    }

    /// The administrator's handle on the cluster.
    pub fn kube(&self) -> &Kube {
        &self.kube
    }

    /// The namespace of the apps.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Where images come from.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Runs `kubectl` in the namespace of the apps and gives what it printed.
    ///
    /// # Errors
    /// If it fails.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut all = vec!["-n", &self.namespace];
        all.extend(arguments);
        self.kube.try_kubectl(&all).await
    }

    /// Applies manifests to the namespace of the apps, their images taken from this scene's registry.
    ///
    /// # Errors
    /// If the API server refuses one.
    pub async fn apply(&self, manifests: &str) -> Result<()> {
        let manifests = manifests.replace(
            &format!("{DEFAULT_REGISTRY}/"),
            &format!("{}/", self.registry),
        );
        let arguments = ["apply", "-n", &self.namespace, "-f", "-"];
        self.kube
            .try_kubectl_with_input(&arguments, &manifests)
            .await?;
        Ok(())
    }

    /// Reads an object, or a list of them, of the namespace of the apps.
    ///
    /// # Errors
    /// If it is not there.
    pub async fn get(&self, what: &str) -> Result<Value> {
        self.kube.try_get_json(&self.namespace, what).await
    }

    /// Waits until deployments are rolled out.
    ///
    /// # Errors
    /// If one is not in time; the text has the namespace's pods and events.
    pub async fn rolled_out(&self, deployments: &[&str]) -> Result<()> {
        for deployment in deployments {
            let what = format!("deployment/{deployment}");
            let limit = format!("--timeout={}s", PATIENCE.as_secs());
            if let Err(error) = self.kubectl(&["rollout", "status", &what, &limit]).await {
                bail!("{error:#}\n{}", self.kube.describe(&self.namespace).await);
            }
        }
        Ok(())
    }

    /// Opens a way to a port of a pod of the namespace of the apps.
    ///
    /// # Errors
    /// If the pod is not there or not running.
    pub async fn forward(&self, pod: &str, port: u16) -> Result<Forward> {
        Forward::open(&self.kube, (&self.namespace, &format!("pod/{pod}")), port).await
    }
}

/// Waits until `probe` succeeds and gives what it gave.
///
/// # Errors
/// If it does not in time; the text has `what` and the last error.
pub async fn eventually<T, P>(what: &str, probe: P) -> Result<T>
where
    P: AsyncFnMut() -> Result<T>,
{
    within(PATIENCE, what, probe).await
}

/// Like [`eventually`], with a limit of its own.
///
/// # Errors
/// If it does not within `limit`; the text has `what` and the last error.
pub async fn within<T, P>(limit: Duration, what: &str, mut probe: P) -> Result<T>
where
    P: AsyncFnMut() -> Result<T>,
{
    let probe = async || probe().await.map_err(|error| format!("{error:#}"));
    match try_within(limit, probe).await {
        Ok(value) => Ok(value),
        Err(last) => bail!("not within {limit:?}: {what}: {last}"),
    }
}

/// The checkout: the chart and the examples are in it.
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A manifest of the examples.
pub(crate) fn example(name: &str) -> Result<String> {
    let path = checkout().join("examples/kubernetes").join(name);
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// Fails with this text unless the condition holds.
pub(crate) fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { bail!(otherwise()) }
}
