//! Name resolution: the resolvers that need nothing but this crate, and the one that the Configuration asks for.

mod following;
mod kubernetes;
mod nameformat;
mod template;

use std::sync::Arc;

use trilby_components::name_resolution::{NameResolver, ResolverBackend};

pub use following::{Following, Names};
pub use kubernetes::KubernetesResolver;
pub use nameformat::NameFormatResolver;
pub use template::{Template, TemplateError};

/// The resolvers of this crate.
pub fn backends() -> Vec<ResolverBackend> {
    vec![
        ResolverBackend::new("kubernetes", async |_, settings| {
            Ok(Arc::new(KubernetesResolver::new(settings)?) as Arc<dyn NameResolver>)
        }),
        ResolverBackend::new("nameformat", async |_, settings| {
            Ok(Arc::new(NameFormatResolver::new(settings)?) as Arc<dyn NameResolver>)
        }),
    ]
}

#[cfg(test)]
mod tests;
