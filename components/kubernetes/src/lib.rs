//! Kubernetes for every building block it can serve; today that is secrets.

mod secrets;

use std::sync::Arc;

use trilby_components::{registry::Backend, secret::SecretStore};

pub use secrets::KubernetesSecrets;

/// Every block that Kubernetes serves.
#[must_use]
pub fn backends() -> Vec<Backend> {
    vec![Backend::secret_store(
        "kubernetes",
        async |context, metadata| {
            let store = KubernetesSecrets::new(&context, &metadata)?;
            Ok(Arc::new(store) as Arc<dyn SecretStore>)
        },
    )]
}
