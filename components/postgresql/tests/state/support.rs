//! What the tests share.

use trilby_components::conformance::state::calls;
use trilby_components::registry::CreateError;
use trilby_testkit::servers::postgres::{Postgres, USER};

pub(crate) use trilby_components::conformance::state::calls::{
    Store, binary, etag, is_unavailable, json, transact, value,
};

/// Both versions.
pub(crate) const VERSIONS: [&str; 2] = ["v1", "v2"];

pub(crate) async fn create(version: &str, pairs: &[(&str, &str)]) -> Result<Store, CreateError> {
    let backends = trilby_components_postgresql::backends();
    calls::create(backends, ("state.postgresql", version), pairs).await
}

/// The connection string of a server, by way of another address or its own.
pub(crate) fn string(address: std::net::SocketAddr) -> String {
    let (host, port) = (address.ip(), address.port());
    format!("host={host} port={port} user={USER} database={USER}")
}

pub(crate) async fn open(postgres: &Postgres, version: &str, extra: &[(&str, &str)]) -> Store {
    let string = string(postgres.address());
    let mut pairs = vec![("connectionString", string.as_str())];
    pairs.extend_from_slice(extra);
    create(version, &pairs).await.expect("postgres runs")
}
