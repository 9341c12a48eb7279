use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use super::{Plan, Refusal, plan};
use crate::{
    services::workload::{Workload, WorkloadDocument, WorkloadKind},
    settings::AppTls,
};

fn workload(annotations: &Value) -> Workload {
    let document: WorkloadDocument = serde_json::from_value(json!({
        "metadata": {"name": "cart", "namespace": "shop", "uid": "u1"},
        "spec": {
            "selector": {"matchLabels": {"app": "cart"}},
            "template": {"metadata": {"annotations": annotations}, "spec": {"containers": []}},
        },
    }))
    .unwrap();
    document.into_enabled(WorkloadKind::Deployment).unwrap()
}

fn cart() -> Workload {
    workload(&json!({"dapr.io/enabled": "true", "dapr.io/app-id": "cart"}))
}

fn created(workload: &Workload, app_tls: AppTls) -> Service {
    match plan(workload, None, app_tls, |_| false).unwrap() {
        Plan::Create(service) => *service,
        other => panic!("{other:?}"),
    }
}

fn replan(workload: &Workload, observed: &Service) -> Result<Plan, Refusal> {
    plan(workload, Some(observed), AppTls::Mutual, |_| false)
}

#[test]
fn the_service_belongs_to_its_workload_whatever_that_is() {
    let document: WorkloadDocument = serde_json::from_value(json!({
        "metadata": {"name": "cart", "namespace": "shop", "uid": "u1"},
        "spec": {"template": {"metadata": {"annotations": {
            "dapr.io/enabled": "true", "dapr.io/app-id": "cart",
        }}}},
    }))
    .unwrap();
    let rollout = document.into_enabled(WorkloadKind::Rollout).unwrap();
    let service = created(&rollout, AppTls::Mutual);
    let owner = &service.metadata.owner_references.unwrap()[0];
    assert_eq!(
        (owner.api_version.as_str(), owner.kind.as_str()),
        ("argoproj.io/v1alpha1", "Rollout")
    );
}

#[test]
fn a_job_has_a_service_on_request_and_until_it_ends() {
    let job = |asks: &str, condition: &str| {
        let document: WorkloadDocument = serde_json::from_value(json!({
            "metadata": {"name": "batch", "namespace": "shop", "uid": "u1"},
            "spec": {"template": {"metadata": {"annotations": {
                "dapr.io/enabled": "true", "dapr.io/app-id": "batch", "dapr.io/create-service": asks,
            }}}},
            "status": {"conditions": [{"type": condition, "status": "True"}]},
        }))
        .unwrap();
        document.into_enabled(WorkloadKind::Job).is_some()
    };
    assert!(job("true", "Suspended"));
    assert!(!job("false", "Suspended"));
    assert!(!job("true", "Complete"));
    assert!(!job("true", "Failed"));
}

#[test]
fn an_enabled_workload_gets_upstreams_service() {
    assert_eq!(
        serde_json::to_value(created(&cart(), AppTls::Mutual)).unwrap(),
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": "cart-dapr",
                "namespace": "shop",
                "labels": {"dapr.io/enabled": "true"},
                "annotations": {
                    "dapr.io/app-id": "cart",
                    "prometheus.io/probe": "true",
                    "prometheus.io/scrape": "true",
                    "prometheus.io/port": "9090",
                    "prometheus.io/path": "/",
                },
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "Deployment", "name": "cart", "uid": "u1",
                    "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "spec": {
                "clusterIP": "None",
                "selector": {"app": "cart"},
                "ports": [
                    {"name": "dapr-http", "protocol": "TCP", "port": 80, "targetPort": 3500, "appProtocol": "http"},
                    {"name": "dapr-grpc", "protocol": "TCP", "port": 50001, "targetPort": 50001, "appProtocol": "grpc"},
                    {"name": "dapr-internal", "protocol": "TCP", "port": 50002, "targetPort": 50002, "appProtocol": "tls"},
                    {"name": "dapr-metrics", "protocol": "TCP", "port": 9090, "targetPort": 9090, "appProtocol": "http"},
                ],
            },
        })
    );
}

#[test]
fn annotations_of_the_pod_template_set_ports_and_annotations() {
    let service = created(
        &workload(&json!({
            "dapr.io/enabled": "on",
            "dapr.io/app-id": "cart",
            "dapr.io/grpc-port": "6001",
            "dapr.io/internal-grpc-port": "none",
            "dapr.io/metrics-port": "9191",
            "dapr.io/enable-metrics": "false",
            "dapr.io/sidecar-svc-annotations": "a=b=c, dapr.io/app-id=stolen ,=x,noequals, dapr.io/x = y ",
        })),
        AppTls::Off,
    );
    let ports = service.spec.unwrap().ports.unwrap();
    let ports: Vec<_> = ports
        .iter()
        .map(|port| (port.port, port.app_protocol.as_deref().unwrap()))
        .collect();
    assert_eq!(
        ports,
        [
            (80, "http"),
            (6001, "grpc"),
            (50002, "grpc"),
            (9191, "http")
        ]
    );
    assert_eq!(
        json!(service.metadata.annotations),
        json!({"dapr.io/app-id": "cart", "a": "b=c", "dapr.io/x": "y"})
    );
}

#[test]
fn a_service_that_is_as_it_should_be_is_not_written() {
    let mut observed = created(&cart(), AppTls::Mutual);
    observed.metadata.resource_version = Some("5".into());
    observed.spec.as_mut().unwrap().cluster_ips = Some(vec!["None".into()]);
    assert_eq!(replan(&cart(), &observed), Ok(Plan::Nothing));
}

#[test]
fn what_others_added_stays_and_what_is_ours_is_restored() {
    let mut observed = created(&cart(), AppTls::Mutual);
    observed.metadata.resource_version = Some("5".into());
    let labels = observed.metadata.labels.as_mut().unwrap();
    labels.insert("team".into(), "red".into());
    labels.remove("dapr.io/enabled");
    let annotations = observed.metadata.annotations.as_mut().unwrap();
    annotations.insert("mesh/x".into(), "1".into());
    annotations.insert("prometheus.io/port".into(), "1".into());
    observed.spec.as_mut().unwrap().selector = None;
    let Ok(Plan::Replace(service)) = replan(&cart(), &observed) else {
        panic!("not replaced");
    };
    let labels = service.metadata.labels.unwrap();
    assert_eq!(labels["team"], "red");
    assert_eq!(labels["dapr.io/enabled"], "true");
    let annotations = service.metadata.annotations.unwrap();
    assert_eq!(annotations["mesh/x"], "1");
    assert_eq!(annotations["prometheus.io/port"], "9090");
    assert_eq!(service.spec.unwrap().selector.unwrap()["app"], "cart");
    assert_eq!(service.metadata.resource_version.as_deref(), Some("5"));
}

#[test]
fn metrics_switched_off_lose_their_annotations() {
    let observed = created(&cart(), AppTls::Mutual);
    let quiet = workload(&json!({
        "dapr.io/enabled": "true", "dapr.io/app-id": "cart", "dapr.io/enable-metrics": "false",
    }));
    let Ok(Plan::Replace(service)) = replan(&quiet, &observed) else {
        panic!("not replaced");
    };
    assert_eq!(
        json!(service.metadata.annotations),
        json!({"dapr.io/app-id": "cart"})
    );
}

#[test]
fn a_bad_app_id_is_refused_with_the_reason() {
    let long = "a".repeat(59);
    for app_id in ["Cart", "a.b", "-a", "a_b", "ü", &long] {
        let workload = workload(&json!({"dapr.io/enabled": "true", "dapr.io/app-id": app_id}));
        assert_eq!(
            plan(&workload, None, AppTls::Mutual, |_| false),
            Err(Refusal::InvalidAppId(app_id.into()))
        );
    }
    let nameless = workload(&json!({"dapr.io/enabled": "true"}));
    assert_eq!(
        plan(&nameless, None, AppTls::Mutual, |_| false),
        Err(Refusal::NoAppId)
    );
}

#[test]
fn the_service_of_another_living_workload_is_left_alone() {
    let mut observed = created(&cart(), AppTls::Mutual);
    observed.metadata.owner_references.as_mut().unwrap()[0].uid = "u2".into();
    let refused = plan(&cart(), Some(&observed), AppTls::Mutual, |uid| uid == "u2");
    assert_eq!(
        refused.unwrap_err().to_string(),
        "Service \"cart-dapr\" belongs to Deployment cart, which has the same app id"
    );
    let Ok(Plan::Replace(service)) = replan(&cart(), &observed) else {
        panic!("a dead owner's Service is taken over");
    };
    assert_eq!(service.metadata.owner_references.unwrap()[0].uid, "u1");
}

#[test]
fn a_service_with_a_cluster_ip_is_reported() {
    let mut observed = created(&cart(), AppTls::Mutual);
    observed.spec.as_mut().unwrap().cluster_ip = Some("10.0.0.1".into());
    assert_eq!(
        replan(&cart(), &observed),
        Err(Refusal::NotHeadless("cart-dapr".into()))
    );
}

#[test]
fn only_enabled_workloads_that_are_not_being_deleted_count() {
    let document = |value: Value| -> WorkloadDocument { serde_json::from_value(value).unwrap() };
    let template = |enabled: &str| json!({"template": {"metadata": {"annotations": {"dapr.io/enabled": enabled}}}});
    for (object, expected) in [
        (
            json!({"metadata": {"uid": "u"}, "spec": template("Yes")}),
            true,
        ),
        (
            json!({"metadata": {"uid": "u"}, "spec": template("no")}),
            false,
        ),
        (json!({"metadata": {"uid": "u"}, "spec": {}}), false),
        (
            json!({"metadata": {"uid": "u", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": template("true")}),
            false,
        ),
    ] {
        let enabled = document(object.clone()).into_enabled(WorkloadKind::StatefulSet);
        assert_eq!(enabled.is_some(), expected, "{object}");
    }
}
