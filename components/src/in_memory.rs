//! Backends that need nothing but this process. Their data ends with it.

mod state;

use std::sync::Arc;

pub use state::InMemoryState;

use crate::{registry::Backend, state::StateStore};

/// Every in-memory backend.
#[must_use]
pub fn backends() -> Vec<Backend> {
    vec![Backend::state("in-memory", async |_, metadata| {
        metadata.decode::<state::NoSettings>()?;
        Ok(Arc::new(InMemoryState::default()) as Arc<dyn StateStore>)
    })]
}
