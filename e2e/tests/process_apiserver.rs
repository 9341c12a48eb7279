//! The API server that process tests run against does what they rely on.

use serde_json::json;
use trilby_testkit::ApiServer;

const WIDGETS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.test.trilby.dev}
spec:
  group: test.trilby.dev
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          size: {type: integer}
";

/// A pod that no node will ever run.
fn pod(name: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "app", "image": "e2e.local/none:1"}]},
    })
    .to_string()
}

#[tokio::test]
async fn a_custom_resource_is_checked_against_its_schema() {
    let api = ApiServer::shared().await;
    let namespace = api.namespace("crd").await;
    api.apply(WIDGETS).await;
    let widget = |size: &str| {
        format!(
            "{{apiVersion: test.trilby.dev/v1, kind: Widget, \
             metadata: {{name: w, namespace: {namespace}}}, size: {size}}}"
        )
    };
    api.eventually("a widget is accepted", async |kube| {
        kube.try_apply(&widget("3")).await
    })
    .await;
    let stored = api.get_json(&namespace, "widget/w").await;
    assert_eq!(stored["size"], 3);

    let refused = api.try_apply(&widget("big")).await.unwrap_err();
    assert!(
        format!("{refused:#}").contains("must be of type integer"),
        "{refused:#}"
    );
}

#[tokio::test]
async fn a_pods_token_is_reviewed_for_its_audience_only() {
    let api = ApiServer::shared().await;
    let namespace = api.namespace("token").await;
    let in_namespace = ["create", "-n", &namespace, "-f", "-"];
    api.kubectl_with_input(&in_namespace, &pod("client")).await;
    let token = api.pod_token(&namespace, "client", "sentry").await;

    let status = api.review_token(&token, &["sentry"]).await.unwrap();
    assert_eq!(status["authenticated"], true);
    let user = format!("system:serviceaccount:{namespace}:default");
    assert_eq!(status["user"]["username"], user);
    let pod_name = &status["user"]["extra"]["authentication.kubernetes.io/pod-name"];
    assert_eq!(pod_name, &json!(["client"]));

    let other = api.review_token(&token, &["another"]).await.unwrap();
    assert_ne!(other["authenticated"], true, "{other}");
}

#[tokio::test]
async fn a_deployment_makes_pods_that_stay_pending() {
    let api = ApiServer::shared().await;
    let namespace = api.namespace("deploy").await;
    let arguments = [
        "create",
        "deployment",
        "app",
        "-n",
        &namespace,
        "--image=e2e.local/none:1",
        "--replicas=2",
    ];
    api.kubectl(&arguments).await;
    api.eventually("two pods are pending", async |kube| {
        let pods = kube.try_get_json(&namespace, "pods").await?;
        let phases: Vec<_> = pods["items"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|pod| pod["status"]["phase"].clone())
            .collect();
        if phases == ["Pending", "Pending"] {
            return Ok(());
        }
        Err(trilby_testkit::unexpected(phases))
    })
    .await;
}

#[tokio::test]
async fn a_service_account_has_its_own_rights_only() {
    let api = ApiServer::shared().await;
    let namespace = api.namespace("rights").await;
    api.service_account(&namespace, "reader").await;
    let arguments = [
        "create",
        "role",
        "reader",
        "-n",
        &namespace,
        "--verb=get,list",
        "--resource=configmaps",
    ];
    api.kubectl(&arguments).await;
    let account = format!("--serviceaccount={namespace}:reader");
    api.kubectl(&[
        "create",
        "rolebinding",
        "r",
        "-n",
        &namespace,
        "--role=reader",
        &account,
    ])
    .await;

    let reader = api.acting_as(&namespace, "reader").await;
    reader
        .eventually("configmaps can be read", async |kube| {
            kube.try_get_json(&namespace, "configmaps").await
        })
        .await;
    let refused = reader
        .try_get_json(&namespace, "secrets")
        .await
        .unwrap_err();
    assert!(format!("{refused:#}").contains("Forbidden"), "{refused:#}");
}

#[tokio::test]
async fn a_second_api_server_runs_beside_the_first() {
    let (first, second) = tokio::join!(ApiServer::shared(), ApiServer::start());
    assert_ne!(first.url(), second.url());
    let namespace = second.namespace("apart").await;
    let what = format!("namespace/{namespace}");
    second.get_json("", &what).await;
    assert!(first.try_get_json("", &what).await.is_err());
}
