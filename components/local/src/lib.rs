//! What the machine itself holds, for every building block it can serve; today that is secrets, variables of the
//! sidecar's environment (`secretstores.local.env`) and a JSON file (`secretstores.local.file`), and a binding, files of
//! a directory (`bindings.localstorage`).
//!
//! The secrets are meant for development: neither store encrypts anything.

mod env;
mod file;
mod storage;

use std::sync::Arc;

use trilby_components::{
    binding::Binding,
    definition::Definition,
    registry::{Backend, Block},
    secret::SecretStore,
};

pub use env::EnvironmentSecrets;
pub use file::FileSecrets;
pub use storage::LocalStorage;

/// Every block that the machine serves.
#[must_use]
pub fn backends() -> Vec<Backend> {
    vec![
        Backend::secret_store("local.env", async |_, metadata| {
            let store = EnvironmentSecrets::new(&metadata)?;
            Ok(Arc::new(store) as Arc<dyn SecretStore>)
        }),
        Backend::secret_store("local.file", async |_, metadata| {
            let store = FileSecrets::open(&metadata).await?;
            Ok(Arc::new(store) as Arc<dyn SecretStore>)
        }),
        Backend::binding("localstorage", async |_, metadata| {
            let storage = LocalStorage::open(&metadata)?;
            Ok(Binding {
                input: None,
                output: Some(Arc::new(storage)),
            })
        }),
    ]
}

/// What its types take and can do.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    vec![
        Definition::new(Block::SecretStore, "local.env").taking::<env::Settings>(),
        Definition::new(Block::SecretStore, "local.file").taking::<file::Settings>(),
        Definition::new(Block::Binding, "localstorage")
            .taking::<storage::Settings>()
            .capable_of(&["OUTPUT_BINDING"]),
    ]
}
