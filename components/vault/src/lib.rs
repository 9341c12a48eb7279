//! HashiCorp Vault, and OpenBao, for every building block they can serve; today that is secrets.
//!
//! ```text
//! metadata ─► settings ─► store ──► reader ─► path, engine ─► server (HTTP) ─► content ─► a secret
//!                           │  └──► listing: every name below the prefix
//!                           └─ token, kept alive by keeping, as renewal says
//! ```
//!
//! Promised beyond upstream: names and versions are escaped and cannot lead out of the prefix, values that are no text
//! come back as their JSON, a token's file is read with every request, a token that can be renewed is renewed in time,
//! and both versions of the key-value engine are served.
//!
//! Deliberately absent: ways to log in other than with a token, namespaces of Vault Enterprise, and any request before
//! the first secret is asked for, but the token's own.

mod content;
mod engine;
mod keeping;
mod listing;
mod path;
mod reader;
mod renewal;
mod server;
mod settings;
mod store;
mod token;

use std::sync::Arc;

use trilby_components::{
    definition::Definition,
    registry::{Backend, Block},
    secret::SecretStore,
};

pub use store::VaultSecrets;

/// Every block that Vault serves.
#[must_use]
pub fn backends() -> Vec<Backend> {
    vec![Backend::secret_store(
        "hashicorp.vault",
        async |_, metadata| {
            let store = VaultSecrets::new(&metadata).await?;
            Ok(Arc::new(store) as Arc<dyn SecretStore>)
        },
    )]
}

/// What its types take and can do.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    vec![Definition::new(Block::SecretStore, "hashicorp.vault").taking::<settings::Settings>()]
}
