//! A release from its installation to its end.

use anyhow::ensure;
use trilby_testkit::{ApiServer, eventually::within};

use crate::{CHART, LIMIT, NAMESPACE};

#[tokio::test]
async fn a_release_is_installed_changed_rolled_back_and_removed_without_a_trace() {
    let api = ApiServer::start().await;
    api.namespace_named(NAMESPACE).await;
    let before = api.lasting_objects().await;
    let before = before.expect("objects can be listed");
    let release = ["dapr", CHART, "-n", NAMESPACE];
    let with =
        |verb: &'static str, options: &[&'static str]| [&[verb][..], &release, options].concat();

    api.helm(&with("install", &[])).await;
    let first = api
        .helm(&["get", "manifest", "dapr", "-n", NAMESPACE])
        .await;
    let changes = [
        "--set",
        "global.ha.enabled=true,global.networkPolicies.enabled=true,global.prometheus.dashboards.enabled=true",
        // Claims of a StatefulSet never change.
        "--set",
        "dapr_placement.cluster.forceInMemoryLog=true,dapr_operator.watchInterval=once,dapr_operator.validation=strict",
    ];
    api.helm(&with("upgrade", &changes)).await;
    api.helm(&["rollback", "dapr", "1", "-n", NAMESPACE]).await;
    let back = api
        .helm(&["get", "manifest", "dapr", "-n", NAMESPACE])
        .await;
    assert_eq!(back, first);
    api.helm_uninstall(NAMESPACE, "dapr").await;

    within(LIMIT, "nothing is left but definitions", async || {
        let after = api.lasting_objects().await?;
        let left: Vec<_> = after.difference(&before).collect();
        let (definitions, others): (Vec<_>, Vec<_>) = left
            .into_iter()
            .partition(|object| object.starts_with("CustomResourceDefinition "));
        ensure!(others.is_empty(), "left: {others:?}");
        ensure!(definitions.len() == 7, "{definitions:?}");
        Ok(())
    })
    .await;
}
