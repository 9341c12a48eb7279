//! Name resolution: where the sidecar of an application listens.

mod kubernetes;
mod template;

use std::sync::Arc;

use async_trait::async_trait;

pub use kubernetes::KubernetesResolver;
pub use template::{Template, TemplateError};

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The application.
    pub app_id: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// The internal port of the sidecar that asks.
    pub port: u16,
}

/// Nothing of that name was found.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct ResolveError(pub String);

/// A way to find sidecars.
#[async_trait]
pub trait NameResolver: std::fmt::Debug + Send + Sync {
    /// An address (`host:port`) of the application's sidecar; one of several at random.
    ///
    /// # Errors
    /// Nothing of that name is known, or the directory is away.
    async fn resolve(&self, query: &Query<'_>) -> Result<String, ResolveError>;

    /// Drops what is remembered of an application whose sidecar was not reached.
    fn forget(&self, app_id: &str, namespace: &str);
}

/// Which resolver, and its settings (`spec.nameResolution` of the Configuration).
#[derive(Debug, Clone, PartialEq)]
pub struct ResolverConfig {
    /// The component, without its version.
    pub component: String,
    /// Its version; empty is `v1`.
    pub version: String,
    /// Its settings.
    pub settings: serde_json::Value,
}

/// Resolvers that upstream has and this sidecar does not have yet.
const NOT_THERE_YET: [&str; 5] = [
    "mdns",
    "sqlite",
    "hashicorp.consul",
    "nameformat",
    "aws.cloudmap",
];

impl ResolverConfig {
    /// Builds the resolver. One that is not there yet answers every question with an error that names it.
    ///
    /// # Errors
    /// The component is unknown or its settings are wrong.
    pub fn build(&self) -> Result<Arc<dyn NameResolver>, ResolveError> {
        let component = self.component.to_lowercase();
        let component = component
            .strip_prefix("nameresolution.")
            .unwrap_or(&component);
        match (component, self.version.as_str()) {
            ("kubernetes", "" | "v0" | "v1") => {
                Ok(Arc::new(KubernetesResolver::new(&self.settings)?))
            }
            (known, _) if NOT_THERE_YET.contains(&known) => Ok(Arc::new(Absent(known.to_owned()))),
            (unknown, version) => Err(ResolveError(format!(
                "couldn't find name resolver {unknown}/{}: kubernetes/v1 is built in",
                if version.is_empty() { "v1" } else { version }
            ))),
        }
    }
}

/// A resolver that is not there yet.
#[derive(Debug)]
struct Absent(String);

#[async_trait]
impl NameResolver for Absent {
    async fn resolve(&self, query: &Query<'_>) -> Result<String, ResolveError> {
        Err(ResolveError(format!(
            "cannot find the sidecar of app {}: name resolution by {} is not there yet in Trilby; set \
             spec.nameResolution.component of the Configuration to kubernetes",
            query.app_id, self.0
        )))
    }

    fn forget(&self, _: &str, _: &str) {}
}

#[cfg(test)]
mod tests;
