//! Rights: what the services ask of the API server is what the chart grants them, and no more is granted.

use anyhow::ensure;
use serde_json::{Value, json};
use trilby_testkit::eventually::within;

use crate::{LIMIT, NAMESPACE, release::Release};

/// Granted to the operator for what this test does not bring about; the operator's own tests do.
const OPERATOR_ELSEWHERE: [&str; 22] = [
    // Events and writes about resources that are wrong, and the other look at one whose status changed meanwhile.
    "create events",
    "get components",
    "get httpendpoints",
    "get mcpservers",
    "get resiliencies",
    "get subscriptions",
    "get workflowaccesspolicies",
    "patch httpendpoints/status",
    "patch mcpservers/status",
    "patch resiliencies/status",
    "patch subscriptions/status",
    "patch workflowaccesspolicies/status",
    // The owner of a service is looked at again before the service is deleted.
    "get daemonsets",
    "get deployments",
    "get jobs",
    "get statefulsets",
    "get services",
    "update services",
    // No request asks for these: admission does, for owner references that keep the owner.
    "update daemonsets/finalizers",
    "update deployments/finalizers",
    "update jobs/finalizers",
    "update statefulsets/finalizers",
];
/// Granted to sentry for a rotation of the root, which its own tests bring about.
const SENTRY_ELSEWHERE: [&str; 2] = ["create events", "list pods"];
const ACCOUNTS: [&str; 4] = [
    "dapr-operator",
    "dapr-sentry",
    "dapr-injector",
    "dapr-placement",
];

fn component(namespace: &str) -> Value {
    json!({
        "apiVersion": "dapr.io/v1alpha1", "kind": "Component",
        "metadata": {"name": "store", "namespace": namespace},
        "spec": {
            "type": "state.in-memory", "version": "v1",
            "metadata": [{"name": "label", "secretKeyRef": {"name": "word", "key": "word"}}],
        },
        "auth": {"secretStore": "kubernetes"},
    })
}

fn secret(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "word", "namespace": namespace}, "stringData": {"word": "x"},
    })
}

fn deployment(namespace: &str, app_id: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "shop", "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": {"app": "shop"}},
            "template": {
                "metadata": {
                    "labels": {"app": "shop"},
                    "annotations": {"dapr.io/enabled": "true", "dapr.io/app-id": app_id},
                },
                "spec": {"containers": [{"name": "app", "image": "e2e.local/none:1"}]},
            },
        },
    })
}

/// An app comes, uses a component with a secret, has its service, and changes its name.
async fn live(release: &Release, namespace: &str) {
    let api = &release.api;
    let app = deployment(namespace, "shop");
    for object in [secret(namespace), component(namespace), app] {
        api.apply(&object.to_string()).await;
    }
    let _sidecar = release.sidecar(namespace, "till").await;
    within(LIMIT, "the component's status is written", async || {
        let component = api.try_get_json(namespace, "component/store").await?;
        ensure!(component["status"].is_object(), "{component}");
        Ok(())
    })
    .await;
    within(LIMIT, "the app has its service", async || {
        api.try_get_json(namespace, "service/shop-dapr").await
    })
    .await;
    api.apply(&deployment(namespace, "stall").to_string()).await;
    within(LIMIT, "the service follows the app's name", async || {
        api.try_get_json(namespace, "service/stall-dapr").await?;
        let former = api.try_get_json(namespace, "service/shop-dapr").await;
        ensure!(former.is_err(), "the former service is still there");
        Ok(())
    })
    .await;
}

fn nothing_was_forbidden(release: &Release) {
    for account in ACCOUNTS {
        let forbidden = release.api.forbidden_to(NAMESPACE, account);
        assert_eq!(forbidden, Vec::<String>::new(), "{account}");
        let asked = release.api.requests_of(NAMESPACE, account);
        // Placement has no token for the API server.
        assert_eq!(asked.is_empty(), account == "dapr-placement", "{account}");
    }
}

/// Whatever is granted to the account is asked for, here or by the tests that `elsewhere` stands for.
async fn nothing_is_idle(release: &Release, account: &str, elsewhere: &[&str]) {
    let granted = release.api.rights_of(NAMESPACE, account).await;
    let mut idle = release.api.idle_rights((NAMESPACE, account), &granted);
    idle.retain(|right| !elsewhere.contains(&right.as_str()));
    assert_eq!(idle, Vec::<&String>::new(), "{account}");
    let gone = elsewhere.iter().find(|right| !granted.contains(**right));
    assert_eq!(gone, None, "{account} has it no more");
}

#[tokio::test]
async fn a_release_that_is_confined_to_its_namespace_works_with_rights_there() {
    let release = Release::start("global.rbac.namespaced=true").await;
    live(&release, NAMESPACE).await;
    nothing_was_forbidden(&release);
}

#[tokio::test]
async fn no_service_asks_for_what_it_may_not_or_may_what_it_never_asks_for() {
    let release = Release::start("dapr_operator.validation=warn").await;
    let namespace = release.api.namespace("shop").await;
    live(&release, &namespace).await;
    nothing_was_forbidden(&release);
    nothing_is_idle(&release, "dapr-operator", &OPERATOR_ELSEWHERE).await;
    nothing_is_idle(&release, "dapr-sentry", &SENTRY_ELSEWHERE).await;
    nothing_is_idle(&release, "dapr-placement", &[]).await;
}
