//! What the tests share.

use std::net::SocketAddr;

use trilby_components::conformance::state::calls;
use trilby_components::registry::CreateError;
use trilby_testkit::servers::etcd::Etcd;

pub(crate) use trilby_components::conformance::state::calls::{
    Store, binary, etag, is_mismatch, is_unavailable, item, transact, value,
};

/// Both versions.
pub(crate) const VERSIONS: [&str; 2] = ["v1", "v2"];

pub(crate) async fn create(version: &str, pairs: &[(&str, &str)]) -> Result<Store, CreateError> {
    let backends = trilby_components_etcd::backends();
    calls::create(backends, ("state.etcd", version), pairs).await
}

pub(crate) async fn at(address: SocketAddr, version: &str) -> Result<Store, CreateError> {
    let endpoint = address.to_string();
    // Versions do not read each other's values.
    create(
        version,
        &[("endpoints", &endpoint), ("keyPrefixPath", version)],
    )
    .await
}

pub(crate) async fn open(etcd: &Etcd, version: &str) -> Store {
    at(etcd.address(), version).await.expect("etcd runs")
}
