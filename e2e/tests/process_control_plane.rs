//! The control plane of our own programs against a real API server: each gets its identity from the real sentry.

use trilby_testkit::ApiServer;
use trilby_testkit::mesh::Mesh;

#[tokio::test]
async fn every_service_becomes_ready_with_an_identity_of_the_real_sentry() {
    let api = ApiServer::shared().await;
    let mesh = Mesh::start(api).await;
    let mut operator = mesh.operator().await;
    let mut placement = mesh.placement().await;
    operator.start().await;
    placement.start().await;
    assert!(
        operator
            .metrics()
            .await
            .contains("process_resident_memory_bytes")
    );
    assert!(
        placement
            .metrics()
            .await
            .contains("dapr_placement_leader_status 1")
    );
    let signed = mesh.sentry.metrics().await;
    assert!(
        signed.contains("dapr_sentry_cert_sign_success_total 2"),
        "{signed}"
    );
}

#[tokio::test]
async fn services_wait_for_a_sentry_that_is_away_and_say_so() {
    let api = ApiServer::shared().await;
    let mut mesh = Mesh::start(api).await;
    let mut placement = mesh.placement().await;
    mesh.sentry.stop().await;
    placement.launch();
    placement
        .log()
        .wait_for(&mesh.sentry.grpc_address().to_string())
        .await;
    assert!(!placement.is_healthy().await, "it has no identity");
    mesh.sentry.start().await;
    placement.healthy().await;
}
