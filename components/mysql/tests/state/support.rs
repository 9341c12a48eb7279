//! What the tests share.

use std::net::SocketAddr;

use trilby_components::conformance::state::calls;
use trilby_components::registry::CreateError;
use trilby_testkit::servers::mariadb::{Mariadb, USER};

pub(crate) use trilby_components::conformance::state::calls::{
    Store, binary, is_unavailable, json, transact, value,
};

pub(crate) async fn create(pairs: &[(&str, &str)]) -> Result<Store, CreateError> {
    let backends = trilby_components_mysql::backends();
    calls::create(backends, ("state.mysql", ""), pairs).await
}

/// The connection string of a server, by way of another address or its own.
pub(crate) fn string(address: SocketAddr) -> String {
    format!("{USER}@tcp({address})/?allowNativePasswords=true")
}

pub(crate) async fn open(mariadb: &Mariadb, extra: &[(&str, &str)]) -> Store {
    let string = string(mariadb.address());
    let mut pairs = vec![("connectionString", string.as_str())];
    pairs.extend_from_slice(extra);
    create(&pairs).await.expect("mariadb runs")
}

/// Carries out statements in upstream's database.
pub(crate) fn sql(mariadb: &Mariadb, statements: &str) -> String {
    mariadb.sql(&format!("USE dapr_state_store; {statements}"))
}
