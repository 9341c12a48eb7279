//! Writers that meet on the same keys.

use trilby_components::conformance;
use trilby_testkit::servers::etcd::Etcd;

use crate::support::{VERSIONS, open};

#[tokio::test]
async fn two_sidecars_lose_nothing() {
    let etcd = Etcd::start().await;
    for version in VERSIONS {
        let (one, other) = (open(&etcd, version).await, open(&etcd, version).await);
        conformance::state::run_two([&*one, &*other], "meeting").await;
    }
}
