//! etcd for every building block it can serve; today that is state and locks.
//!
//! ```text
//! settings: metadata ─▶ endpoints, TLS, the path that keys are under
//! link:     one connection that comes back by itself, to another endpoint if need be; each call with its limit
//! wire:     the few messages of etcd's v3 API that are used
//! keyspace: the keys under the path
//! lease:    how long the servers keep a key
//! state:    layout (values of v1 and v2), plan (a transaction as one of etcd's), leases, listing
//! lock:     its owner at a key, with a lease
//! ```
//!
//! The layout of values is upstream's, so that both kinds of sidecars share a cluster. Messages and calls are written by
//! hand over the workspace's gRPC library: they are few, and the known client wants a protobuf compiler wherever it is
//! built. Deliberately absent: users and passwords, which upstream does not have either, and retries of writes (they wrap
//! the traits).

mod keyspace;
mod lease;
mod link;
mod lock;
mod settings;
mod state;
mod wire;

use std::sync::Arc;

use trilby_components::definition::Definition;
use trilby_components::lock::LockStore;
use trilby_components::registry::{Backend, Block};
use trilby_components::state::StateStore;

pub use lock::EtcdLock;
pub use state::EtcdState;
use state::Layout;

/// The version whose values are bare bytes.
const FIRST: &[&str] = &["v1"];
/// The version whose values say when they were written, and for how long.
const SECOND: &[&str] = &["v2"];

/// Every block that etcd serves.
#[must_use]
pub fn backends() -> Vec<Backend> {
    vec![
        state_store(Layout::First).of_versions(FIRST),
        state_store(Layout::Second).of_versions(SECOND),
        Backend::lock("etcd", async |_, metadata| {
            let store = EtcdLock::connect(&metadata).await?;
            Ok(Arc::new(store) as Arc<dyn LockStore>)
        }),
    ]
}

fn state_store(layout: Layout) -> Backend {
    Backend::state("etcd", move |_, metadata| async move {
        let store = EtcdState::connect(&metadata, layout).await?;
        Ok(Arc::new(store) as Arc<dyn StateStore>)
    })
}

/// What its types take and can do.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    let of = |versions| {
        Definition::new(Block::State, "etcd")
            .of_versions(versions)
            .taking::<settings::Properties>()
            .taking::<state::Settings>()
            .capable_of(&["ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE", "ACTOR"])
    };
    let lock = Definition::new(Block::Lock, "etcd").taking::<settings::Properties>();
    vec![of(FIRST), of(SECOND), lock]
}
