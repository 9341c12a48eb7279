//! PostgreSQL for every building block it can serve; today that is state, configuration, locks and
//! an output binding.
//!
//! ```text
//! connection: metadata ─▶ connection string ─▶ Target (where, as whom, over which TLS, how many connections)
//! pool:       Target ─▶ connections, each request with its limit ─▶ failure: what a caller can do about it
//! state:      layout (SQL of v1 and v2), plan (a transaction as guarded steps), cleaning
//! lock:       one table, a statement for each operation
//! configuration: a table that others keep, and a connection that listens to their notifications
//! binding:    statements of callers: their parameters from JSON, their rows to JSON
//! notes:      the table beside those of the blocks: how far they are made, when they were last cleaned
//! ```
//!
//! Tables of values are upstream's, so that both kinds of sidecars share a database. Deliberately absent: queries over v2,
//! whose values are bytes, tokens of cloud providers, which are refused by name, variables such as `PGHOST`, and retries of
//! what may have been carried out (they wrap the traits).

mod binding;
mod configuration;
mod connection;
mod failure;
mod lock;
mod notes;
mod pool;
mod state;

use std::sync::Arc;

use trilby_components::binding::Binding;
use trilby_components::configuration::ConfigurationStore;
use trilby_components::definition::Definition;
use trilby_components::lock::LockStore;
use trilby_components::metadata::{Metadata, Schema};
use trilby_components::registry::{Backend, Block, InitError};
use trilby_components::state::StateStore;

pub use binding::PostgresBinding;
pub use configuration::PostgresConfiguration;
pub use lock::PostgresLock;
pub use state::PostgresState;

/// The version that keeps documents.
const FIRST: &[&str] = &["v1"];
/// The version that keeps bytes, and etags of its own.
const SECOND: &[&str] = &["v2"];
const CAPABILITIES: &[&str] = &["ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE", "ACTOR"];
const DOCUMENT_CAPABILITIES: &[&str] = &[
    "ETAG",
    "TRANSACTIONAL",
    "TTL",
    "KEYS_LIKE",
    "QUERY_API",
    "ACTOR",
];

async fn first(metadata: Metadata) -> Result<Arc<dyn StateStore>, InitError> {
    Ok(Arc::new(PostgresState::first(&metadata).await?))
}

async fn cockroach(metadata: Metadata) -> Result<Arc<dyn StateStore>, InitError> {
    Ok(Arc::new(PostgresState::cockroach(&metadata).await?))
}

async fn second(metadata: Metadata) -> Result<Arc<dyn StateStore>, InitError> {
    Ok(Arc::new(PostgresState::second(&metadata).await?))
}

/// Every block that PostgreSQL serves, and CockroachDB and YugabyteDB, which speak its protocol.
#[must_use]
pub fn backends() -> Vec<Backend> {
    vec![
        Backend::state("postgresql", async |_, metadata| first(metadata).await)
            .aliases(&["postgres"])
            .of_versions(FIRST),
        Backend::state("postgresql", async |_, metadata| second(metadata).await)
            .aliases(&["postgres"])
            .of_versions(SECOND),
        Backend::state("cockroachdb", async |_, metadata| cockroach(metadata).await)
            .of_versions(FIRST),
        Backend::state("cockroachdb", async |_, metadata| second(metadata).await)
            .of_versions(SECOND),
        Backend::state("yugabytedb", async |_, metadata| second(metadata).await)
            .aliases(&["yugabyte"])
            .of_versions(SECOND),
        Backend::lock("postgresql", async |_, metadata| {
            let store = PostgresLock::connect(&metadata).await?;
            Ok(Arc::new(store) as Arc<dyn LockStore>)
        })
        .aliases(&["postgres"]),
        Backend::configuration("postgresql", async |_, metadata| {
            let store = PostgresConfiguration::connect(&metadata).await?;
            Ok(Arc::new(store) as Arc<dyn ConfigurationStore>)
        })
        .aliases(&["postgres"]),
        Backend::binding("postgresql", async |_, metadata| {
            let binding = PostgresBinding::connect(&metadata).await?;
            Ok(Binding {
                input: None,
                output: Some(Arc::new(binding)),
            })
        })
        .aliases(&["postgres"]),
    ]
}

/// What its types take and can do.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    vec![
        state_store::<state::First>("postgresql", FIRST).capable_of(DOCUMENT_CAPABILITIES),
        state_store::<state::Second>("postgresql", SECOND),
        state_store::<state::First>("cockroachdb", FIRST).capable_of(DOCUMENT_CAPABILITIES),
        state_store::<state::Second>("cockroachdb", SECOND),
        state_store::<state::Second>("yugabytedb", SECOND),
        Definition::new(Block::Lock, "postgresql")
            .taking::<connection::Properties>()
            .taking::<lock::Settings>(),
        Definition::new(Block::Configuration, "postgresql")
            .taking::<connection::Properties>()
            .taking::<configuration::Settings>(),
        Definition::new(Block::Binding, "postgresql")
            .taking::<connection::Properties>()
            .taking::<binding::Settings>()
            .capable_of(&["OUTPUT_BINDING"]),
    ]
}

fn state_store<Own: Schema>(name: &'static str, versions: &'static [&'static str]) -> Definition {
    Definition::new(Block::State, name)
        .of_versions(versions)
        .taking::<connection::Properties>()
        .taking::<state::Settings>()
        .taking::<Own>()
        .capable_of(CAPABILITIES)
}
