use serde_json::{Value, json};
use trilby_testkit::{ApiServer, assert_eventually, unexpected};

use crate::{fixture::Fixture, rights};

fn workload(fixture: &Fixture, kind: &str, app_id: &str) -> Value {
    let labels = json!({"app": app_id});
    json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": {"name": app_id, "namespace": fixture.shop},
        "spec": {
            "replicas": 0,
            "serviceName": app_id,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {"dapr.io/enabled": "true", "dapr.io/app-id": app_id},
                },
                "spec": {"containers": [{"name": "app", "image": "e2e.local/none:1"}]},
            },
        },
    })
}

fn deployment(fixture: &Fixture, app_id: &str) -> Value {
    let mut deployment = workload(fixture, "Deployment", app_id);
    if let Some(spec) = deployment["spec"].as_object_mut() {
        spec.remove("serviceName");
    }
    deployment
}

async fn service(fixture: &Fixture, app_id: &str) -> Value {
    let what = format!("service/{app_id}-dapr");
    fixture
        .kube
        .eventually(&what, async |kube| {
            kube.try_get_json(&fixture.shop, &what).await
        })
        .await
}

#[tokio::test]
async fn enabled_workloads_get_a_service_and_others_do_not() {
    let fixture = Fixture::start().await;
    let mut plain = deployment(&fixture, "plain");
    plain["spec"]["template"]["metadata"]["annotations"] = json!({});
    fixture.apply(&plain).await;
    fixture.apply(&deployment(&fixture, "cart")).await;
    fixture
        .apply(&workload(&fixture, "StatefulSet", "db"))
        .await;

    let cart = service(&fixture, "cart").await;
    assert_eq!(cart["spec"]["clusterIP"], "None");
    assert_eq!(cart["spec"]["selector"], json!({"app": "cart"}));
    assert_eq!(cart["spec"]["ports"][2]["name"], "dapr-internal");
    assert_eq!(cart["spec"]["ports"][2]["appProtocol"], "tls");
    assert_eq!(cart["metadata"]["annotations"]["dapr.io/app-id"], "cart");
    assert_eq!(cart["metadata"]["ownerReferences"][0]["kind"], "Deployment");
    let db = service(&fixture, "db").await;
    assert_eq!(db["metadata"]["ownerReferences"][0]["kind"], "StatefulSet");
    let plain = fixture
        .kube
        .try_get_json(&fixture.shop, "service/plain-dapr")
        .await;
    assert!(plain.is_err());
    let counted = "dapr_operator_service_created_total{app_id=\"cart\"} 1";
    assert_eventually!(fixture.operator.metrics().await.contains(counted));
}

#[tokio::test]
async fn a_service_is_repaired_made_again_and_keeps_what_others_added() {
    let fixture = Fixture::start().await;
    fixture.apply(&deployment(&fixture, "cart")).await;
    let first = service(&fixture, "cart").await;

    let kubectl = |arguments: Vec<&'static str>| {
        let shop = fixture.shop.clone();
        let kube = &fixture.kube;
        async move {
            let mut all = vec!["-n", &shop];
            all.extend(arguments);
            kube.kubectl(&all).await
        }
    };
    kubectl(vec!["label", "service/cart-dapr", "team=red"]).await;
    let broken = r#"{"spec":{"selector":{"app":"wrong"}}}"#;
    kubectl(vec![
        "patch",
        "service/cart-dapr",
        "--type=merge",
        "-p",
        broken,
    ])
    .await;
    fixture
        .kube
        .eventually("the selector is repaired", async |kube| {
            let service = kube
                .try_get_json(&fixture.shop, "service/cart-dapr")
                .await?;
            match service["spec"]["selector"]["app"] == "cart"
                && service["metadata"]["labels"]["team"] == "red"
            {
                true => Ok(()),
                false => Err(unexpected(service)),
            }
        })
        .await;

    kubectl(vec!["delete", "service/cart-dapr"]).await;
    assert_eventually!(
        service(&fixture, "cart").await["metadata"]["uid"] != first["metadata"]["uid"]
    );
}

#[tokio::test]
async fn a_bad_app_id_gets_no_service_and_is_named_in_the_log() {
    let fixture = Fixture::start().await;
    let mut bad = deployment(&fixture, "cart");
    bad["spec"]["template"]["metadata"]["annotations"]["dapr.io/app-id"] = json!("Not.Valid");
    fixture.apply(&bad).await;
    let line = fixture
        .operator
        .log()
        .wait_for("workload has no Service")
        .await;
    assert!(
        line.contains(r#"app id \"Not.Valid\" is invalid"#),
        "{line}"
    );
}

#[tokio::test]
async fn one_of_two_replicas_keeps_the_services_and_the_other_takes_over() {
    let mut fixture = Fixture::start().await;
    fixture.operator.log().wait_for("leading").await;
    let mut second = fixture.replica().await;
    second.start().await;
    assert!(second.metrics().await.contains("dapr_operator_leader 0"));

    // Given back at shutdown, so the other need not wait for its end.
    assert!(fixture.operator.stop().await.success());
    second.log().wait_for("leading").await;
    fixture.apply(&deployment(&fixture, "cart")).await;
    service(&fixture, "cart").await;
    assert!(second.metrics().await.contains("dapr_operator_leader 1"));
}

#[tokio::test]
async fn a_daemon_set_gets_a_service_when_it_asks_for_one() {
    let fixture = Fixture::start().await;
    let daemons = |app_id: &str, asks: bool| {
        let mut set = deployment(&fixture, app_id);
        set["kind"] = "DaemonSet".into();
        set["spec"].as_object_mut().unwrap().remove("replicas");
        if asks {
            set["spec"]["template"]["metadata"]["annotations"]["dapr.io/create-service"] =
                "true".into();
        }
        set
    };
    fixture.apply(&daemons("silent", false)).await;
    fixture.apply(&daemons("agent", true)).await;
    let agent = service(&fixture, "agent").await;
    assert_eq!(agent["metadata"]["ownerReferences"][0]["kind"], "DaemonSet");
    let silent = "service/silent-dapr";
    let silent = fixture.kube.try_get_json(&fixture.shop, silent).await;
    assert!(silent.is_err());
}

#[tokio::test]
async fn a_service_that_its_workload_needs_no_more_is_deleted() {
    let mut fixture = Fixture::start().await;
    let gone = async |fixture: &Fixture, app_id: &str| {
        let service = format!("service/{app_id}-dapr");
        assert_eventually!(
            fixture
                .kube
                .try_get_json(&fixture.shop, &service)
                .await
                .is_err()
        );
    };
    let mut cart = deployment(&fixture, "cart");
    fixture.apply(&cart).await;
    service(&fixture, "cart").await;

    cart["spec"]["template"]["metadata"]["annotations"]["dapr.io/app-id"] = "basket".into();
    fixture.apply(&cart).await;
    service(&fixture, "basket").await;
    gone(&fixture, "cart").await;

    // Also what changed while nobody looked.
    fixture.operator.stop().await;
    cart["spec"]["template"]["metadata"]["annotations"]["dapr.io/enabled"] = "false".into();
    fixture.apply(&cart).await;
    fixture.operator.start().await;
    gone(&fixture, "basket").await;
    let counted = "dapr_operator_service_deleted_total{app_id=\"basket\"} 1";
    assert_eventually!(fixture.operator.metrics().await.contains(counted));
}

#[tokio::test]
async fn a_conflict_is_told_on_the_workload() {
    let fixture = Fixture::start().await;
    fixture.apply(&deployment(&fixture, "cart")).await;
    service(&fixture, "cart").await;
    let mut second = deployment(&fixture, "cart");
    second["metadata"]["name"] = "second".into();
    fixture.apply(&second).await;
    fixture
        .kube
        .eventually("an Event says so", async |kube| {
            let selector = "--field-selector=involvedObject.name=second";
            let arguments = ["-n", &fixture.shop, "get", "events", selector, "-o", "json"];
            let events = kube.try_kubectl(&arguments).await?;
            match events.contains("belongs to Deployment cart, which has the same app id") {
                true => Ok(()),
                false => Err(unexpected(events)),
            }
        })
        .await;
}

/// The definition that Argo Rollouts brings along, as far as it matters here.
const ROLLOUTS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: rollouts.argoproj.io}
spec:
  group: argoproj.io
  names: {kind: Rollout, listKind: RolloutList, plural: rollouts, singular: rollout}
  scope: Namespaced
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

#[tokio::test]
async fn rollouts_get_a_service_where_they_are_asked_for() {
    let api = ApiServer::start_audited().await;
    let mut fixture = Fixture::prepare(&api).await;
    let flag = "--enable-argo-rollout-service-reconciler";
    fixture.operator = fixture.replica().await.arg(flag, true);
    let before = rights::all(&api, &fixture.system).await;
    rights::grant_rollouts(&fixture.kube, &fixture.system).await;
    fixture.start_sentry().await;
    fixture.configure().await;
    fixture.kube.apply(ROLLOUTS).await;
    fixture.operator.start().await;
    let mut rollout = deployment(&fixture, "canary");
    rollout["apiVersion"] = "argoproj.io/v1alpha1".into();
    rollout["kind"] = "Rollout".into();
    fixture.eventually_applied(&rollout).await;
    let canary = service(&fixture, "canary").await;
    let owner = &canary["metadata"]["ownerReferences"][0];
    assert_eq!(owner["apiVersion"], "argoproj.io/v1alpha1");
    assert_eq!(owner["kind"], "Rollout");

    // Its owner is looked at once more before a service is deleted.
    rollout["spec"]["template"]["metadata"]["annotations"]["dapr.io/app-id"] = "bird".into();
    fixture.apply(&rollout).await;
    service(&fixture, "bird").await;
    let of_admission = ["update rollouts/finalizers"];
    rights::added_are_used(&api, &fixture.system, (&before, &of_admission)).await;
}
