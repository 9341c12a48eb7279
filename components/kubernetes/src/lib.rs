//! Kubernetes for every building block it can serve; today that is secrets and configuration.

mod client;
mod configuration;
mod keys;
mod secrets;

use std::sync::Arc;

use trilby_components::{
    configuration::ConfigurationStore,
    definition::Definition,
    registry::{Backend, Block},
    secret::SecretStore,
};

pub use configuration::KubernetesConfiguration;
pub use keys::KubernetesKeys;
pub use secrets::KubernetesSecrets;

/// Every block that Kubernetes serves.
#[must_use]
pub fn backends() -> Vec<Backend> {
    vec![
        Backend::secret_store("kubernetes", async |context, metadata| {
            let store = KubernetesSecrets::new(&context, &metadata)?;
            Ok(Arc::new(store) as Arc<dyn SecretStore>)
        }),
        Backend::configuration("kubernetes", async |context, metadata| {
            let store = KubernetesConfiguration::connect(&context, &metadata).await?;
            Ok(Arc::new(store) as Arc<dyn ConfigurationStore>)
        }),
    ]
}

/// What its types take and can do.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    vec![
        Definition::new(Block::SecretStore, "kubernetes").taking::<secrets::Settings>(),
        Definition::new(Block::Configuration, "kubernetes").taking::<configuration::Settings>(),
        Definition::new(Block::Crypto, "dapr.kubernetes.secrets").taking::<keys::Settings>(),
    ]
}
