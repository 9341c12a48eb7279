use serde_json::json;
use trilby_testkit::{ApiServer, assert_eventually};

use crate::fixture::Fixture;

const VERSION: &str = "/spec/versions/0";

#[tokio::test]
async fn what_the_definitions_of_the_cluster_lack_is_told_and_counted() {
    // Of its own: definitions are the whole cluster's.
    let api = ApiServer::start().await;
    let mut fixture = Fixture::prepare(&api).await;
    let scopes = format!("{VERSION}/schema/openAPIV3Schema/properties/scopes");
    let patch = json!([
        {"op": "remove", "path": format!("{VERSION}/subresources/status")},
        {"op": "remove", "path": scopes},
    ])
    .to_string();
    let components = "customresourcedefinitions/components.dapr.io";
    let arguments = ["patch", components, "--type=json", "-p", &patch];
    fixture.kube.kubectl(&arguments).await;
    let policies = "customresourcedefinitions/workflowaccesspolicies.dapr.io";
    fixture.kube.kubectl(&["delete", policies]).await;
    fixture.start_sentry().await;
    fixture.configure().await;
    fixture.operator.start().await;

    let counted = async |definition: &str, effect: &str, count: u32| {
        let line = format!(
            "dapr_operator_crd_drift{{definition=\"{definition}.dapr.io\",effect=\"{effect}\"}} {count}"
        );
        assert_eventually!(fixture.operator.metrics().await.contains(&line));
    };
    counted("components", "dropped", 1).await;
    counted("components", "no_status", 1).await;
    counted("components", "refused", 0).await;
    counted("workflowaccesspolicies", "missing", 1).await;
    counted("subscriptions", "dropped", 0).await;
    let log = fixture.operator.log();
    let line = log.wait_for("loses them in silence").await;
    assert!(line.contains("v1alpha1 .scopes"), "{line}");
}
