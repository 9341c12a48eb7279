//! `configuration.kubernetes`: the keys of one ConfigMap of the sidecar's namespace.
//!
//! Values of `data` are as they are; those of `binaryData` are in base64, which their metadata says. The version of each is
//! the object's `resourceVersion`. A read asks the API server, reads at once share one request, and while the API server
//! cannot be reached they are answered with what was read last. Rights needed are upstream's: to list and to watch that
//! ConfigMap.

mod held;
mod watching;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::{Api, Client};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::warn;
use trilby_components::causes::with_causes;
use trilby_components::configuration::{
    Beginning, Changes, ConfigurationError, ConfigurationStore, Items, Selection,
};
use trilby_components::metadata::{Metadata, MetadataError, Schema, value::Seconds};
use trilby_components::registry::{ComponentContext, InitError};

use crate::client;
use held::Held;
use watching::Watching;

/// How long the API server may take to answer.
const LIMIT: Duration = Duration::from_secs(20);
/// The namespace of a sidecar that is told none. Upstream's.
const DEFAULT_NAMESPACE: &str = "default";
/// The longest name of an object, in bytes.
const LONGEST_NAME: usize = 253;

/// Metadata of the store.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// The name of the ConfigMap, which need not be there yet.
    config_map_name: String,
    /// A kubeconfig file. Default: the pod's service account, else the user's own kubeconfig.
    kubeconfig_path: Option<PathBuf>,
    /// How often everything is read again. The watch is renewed every few minutes, and says what it missed.
    #[schemars(extend("effect" = "none"))]
    resync_period: Option<Seconds>,
}

impl Schema for Settings {}

/// Configuration in one ConfigMap.
pub struct KubernetesConfiguration {
    objects: Api<ConfigMap>,
    name: String,
    last: Mutex<Option<Read>>,
}

/// What was read last.
#[derive(Debug, Clone)]
struct Read {
    begun: Instant,
    held: Held,
}

impl KubernetesConfiguration {
    /// Connects, and reads the ConfigMap once.
    ///
    /// # Errors
    /// [`InitError::Unavailable`] when the API server is away or refuses, else what is wrong with the metadata.
    pub async fn connect(
        context: &ComponentContext,
        metadata: &Metadata,
    ) -> Result<Self, InitError> {
        let settings: Settings = metadata.decode()?;
        check_name(&settings.config_map_name)?;
        if settings.resync_period.is_some() {
            warn!("resyncPeriod has no effect: the watch says what it missed");
        }
        let client = client::connect(settings.kubeconfig_path.as_deref());
        let client = client.await.map_err(InitError::Unavailable)?;
        let store = Self::new(client, &context.namespace, settings.config_map_name);
        let read = store.read().await;
        read.map_err(|error| InitError::Unavailable(error.to_string()))?;
        Ok(store)
    }

    fn new(client: Client, namespace: &str, name: String) -> Self {
        let namespace = match namespace {
            "" => DEFAULT_NAMESPACE,
            namespace => namespace,
        };
        Self {
            objects: Api::namespaced(client, namespace),
            name,
            last: Mutex::default(),
        }
    }

    /// What the ConfigMap holds at some moment after this was called.
    async fn read(&self) -> Result<Held, ConfigurationError> {
        let arrived = Instant::now();
        let mut last = self.last.lock().await;
        if let Some(read) = &*last
            && read.begun >= arrived
        {
            return Ok(read.held.clone());
        }
        let begun = Instant::now();
        let error = match self.ask().await {
            Ok(held) => {
                let read = last.insert(Read { begun, held });
                return Ok(read.held.clone());
            }
            Err(error) => error,
        };
        match (&error, &*last) {
            (ConfigurationError::Unavailable(_), Some(read)) => {
                warn!(%error, "configuration is answered as it was read last");
                Ok(read.held.clone())
            }
            _ => Err(error),
        }
    }

    async fn ask(&self) -> Result<Held, ConfigurationError> {
        // Listing is a right that upstream's store needs, getting is none.
        let only = ListParams::default().fields(&format!("metadata.name={}", self.name));
        let listed = timeout(LIMIT, self.objects.list(&only)).await;
        let listed = listed
            .map_err(|_| late())?
            .map_err(|error| refusal(&error))?;
        Ok(Held::of(listed.items.first()))
    }
}

fn late() -> ConfigurationError {
    ConfigurationError::Unavailable(format!(
        "Kubernetes: the API server did not answer within {LIMIT:?}"
    ))
}

fn refusal(error: &kube::Error) -> ConfigurationError {
    match error {
        kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 429 => {
            ConfigurationError::Store(format!("Kubernetes: {}", status.message))
        }
        other => ConfigurationError::Unavailable(format!("Kubernetes: {}", with_causes(other))),
    }
}

/// A name that objects can have: labels of lower-case letters, digits and `-`, with dots between them.
fn check_name(name: &str) -> Result<(), MetadataError> {
    let label = |label: &str| {
        let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty()
            && label.bytes().all(inside)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match name.len() <= LONGEST_NAME && name.split('.').all(label) {
        true => Ok(()),
        false => Err(MetadataError::invalid(
            "configMapName",
            format!("{name:?} is not a valid Kubernetes resource name"),
        )),
    }
}

#[async_trait]
impl ConfigurationStore for KubernetesConfiguration {
    async fn get(&self, selection: &Selection) -> Result<Items, ConfigurationError> {
        Ok(selected(self.read().await?.items(), selection))
    }

    async fn subscribe(
        &self,
        selection: &Selection,
        beginning: Beginning,
    ) -> Result<Changes, ConfigurationError> {
        let watching = Watching::begin(&self.objects, &self.name, selection.clone(), beginning);
        let watching = timeout(LIMIT, watching).await.map_err(|_| late())??;
        let changes = stream::unfold(watching, async |mut watching| {
            let change = watching.next().await?;
            Some((change, watching))
        });
        Ok(Box::pin(changes))
    }
}

fn selected(mut items: Items, selection: &Selection) -> Items {
    items.retain(|key, _| selection.has(key));
    items
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn a_config_map_has_a_name_that_objects_can_have() {
        for name in ["a", "my-app.config.1"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        let long = "x".repeat(254);
        for name in ["", "A", "a_b", "-a", "a-", "a..b", "a b", long.as_str()] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
