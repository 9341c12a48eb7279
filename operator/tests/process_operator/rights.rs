//! The operator's service account, with the rights that the chart gives it and no others.

use std::path::PathBuf;

use tokio::sync::OnceCell;
use trilby_testkit::Kube;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/dapr");
const RIGHTS: [&str; 2] = ["--show-only", "charts/dapr_rbac/templates/operator.yaml"];
const ROLLOUTS: [&str; 2] = ["--set", "global.argoRolloutServiceReconciler.enabled=true"];
const WATCHDOG: [&str; 6] = [
    "--show-only",
    "charts/dapr_operator/templates/dapr_operator_watchdog.yaml",
    "--set",
    "dapr_operator.watchInterval=1s",
    "--set",
    "global.operator.watchdogCanPatchPodLabels=true",
];
const VALIDATION: [&str; 2] = [
    "--show-only",
    "charts/dapr_operator/templates/dapr_operator_validation.yaml",
];
/// The service account's name, as the chart has it.
pub(crate) const ACCOUNT: &str = "dapr-operator";
/// What the chart calls the rights in the whole cluster, which here belong to several control planes.
const CLUSTER_ROLES: [&str; 2] = ["dapr-operator-admin", "dapr-operator-watchdog"];
const PLACEHOLDER: &str = "namespace-of-the-control-plane";

/// Makes the account in this namespace, or gives it its rights back; gives a kubeconfig file of it.
pub(crate) async fn grant(kube: &Kube, namespace: &str) -> PathBuf {
    kube.apply(&rendered(kube, namespace).await).await;
    kube.kubeconfig_of(namespace, ACCOUNT).await
}

/// Takes the right to read Secrets from it.
pub(crate) async fn without_secrets(kube: &Kube, namespace: &str) {
    let rendered = rendered(kube, namespace).await;
    let fewer = rendered.replace("resources: [\"secrets\"]", "resources: [\"no-secrets\"]");
    assert_ne!(fewer, rendered, "there is such a right");
    kube.apply(&fewer).await;
}

/// Gives it what rollouts take as well.
pub(crate) async fn grant_rollouts(kube: &Kube, namespace: &str) {
    let options = [RIGHTS, ROLLOUTS].concat();
    let rendered = kube.helm_template(PLACEHOLDER, CHART, &options).await;
    kube.apply(&of(namespace, &rendered)).await;
}

/// Gives it what the watchdog takes as well.
pub(crate) async fn grant_watchdog(kube: &Kube, namespace: &str) {
    let rendered = kube.helm_template(PLACEHOLDER, CHART, &WATCHDOG).await;
    kube.apply(&of(namespace, &rendered)).await;
}

/// Registers the validation, and gives it what keeping that takes. There is one in a cluster.
pub(crate) async fn grant_validation(kube: &Kube, namespace: &str) {
    let rendered = kube.helm_template(PLACEHOLDER, CHART, &VALIDATION).await;
    kube.apply(&of(namespace, &rendered)).await;
}

async fn rendered(kube: &Kube, namespace: &str) -> String {
    static RENDERED: OnceCell<String> = OnceCell::const_new();
    let rendered = RENDERED
        .get_or_init(async || kube.helm_template(PLACEHOLDER, CHART, &RIGHTS).await)
        .await;
    of(namespace, rendered)
}

fn of(namespace: &str, rendered: &str) -> String {
    let own = rendered.replace(PLACEHOLDER, namespace);
    CLUSTER_ROLES.into_iter().fold(own, |objects, role| {
        objects.replace(role, &format!("{role}-{namespace}"))
    })
}
