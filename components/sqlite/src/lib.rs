//! SQLite for every building block it can serve; today that is name resolution.
//!
//! [`database`] owns the file and runs each piece of work on a thread that may block; [`connection`] reads the
//! connection string as upstream does; [`hosts`] is the resolver. Tables are upstream's, so that both kinds of
//! sidecars share one file.

mod connection;
mod database;
mod hosts;

use std::sync::Arc;

use trilby_components::name_resolution::{NameResolver, ResolverBackend};

pub use hosts::SqliteResolver;

/// The resolver of this crate.
#[must_use]
pub fn resolvers() -> Vec<ResolverBackend> {
    vec![ResolverBackend::new(
        "sqlite",
        async |instance, settings| {
            let resolver = SqliteResolver::new(&instance, &settings).await?;
            Ok(Arc::new(resolver) as Arc<dyn NameResolver>)
        },
    )]
}
