//! The operator's service account, with the rights that the chart gives it and no others.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use anyhow::ensure;
use tokio::sync::OnceCell;
use trilby_testkit::{ApiServer, Kube, eventually::within};

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
const DEFINITIONS: [&str; 4] = [
    "--show-only",
    "charts/dapr_operator/templates/dapr_operator_definitions.yaml",
    "--set",
    "dapr_operator.definitions=upgrade",
];
const CONFINED: [&str; 2] = ["--set", "global.rbac.namespaced=true"];
/// How long it may take until a right is made use of.
const LIMIT: Duration = Duration::from_secs(180);
/// The service account's name, as the chart has it.
pub(crate) const ACCOUNT: &str = "dapr-operator";
/// What the chart calls the rights in the whole cluster, which here belong to several control planes.
const CLUSTER_ROLES: [&str; 3] = [
    "dapr-operator-admin",
    "dapr-operator-watchdog",
    "dapr-operator-definitions",
];
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

/// Gives it what upgrading definitions takes as well.
pub(crate) async fn grant_definitions(kube: &Kube, namespace: &str) {
    let rendered = kube.helm_template(PLACEHOLDER, CHART, &DEFINITIONS).await;
    kube.apply(&of(namespace, &rendered)).await;
}

/// Gives it rights in its own namespace only, and what upgrading definitions takes then.
pub(crate) async fn confine(kube: &Kube, namespace: &str) {
    for options in [&RIGHTS[..], &DEFINITIONS[..]] {
        let options = [options, &CONFINED].concat();
        let rendered = kube.helm_template(PLACEHOLDER, CHART, &options).await;
        kube.apply(&of(namespace, &rendered)).await;
    }
}

/// What the account may do.
pub(crate) async fn all(kube: &Kube, namespace: &str) -> BTreeSet<String> {
    kube.rights_of(namespace, ACCOUNT).await
}

/// Waits until all it got after it had `before` was made use of, but for what admission asks, not a request; and it asked
/// for nothing that it may not.
pub(crate) async fn added_are_used(
    api: &ApiServer,
    namespace: &str,
    (before, of_admission): (&BTreeSet<String>, &[&str]),
) {
    let mut added = all(api, namespace).await;
    added.retain(|right| !before.contains(right) && !of_admission.contains(&right.as_str()));
    assert!(!added.is_empty(), "the value adds rights");
    let used = async || {
        let idle = api.idle_rights((namespace, ACCOUNT), &added);
        ensure!(idle.is_empty(), "idle: {idle:?}");
        Ok(())
    };
    within(LIMIT, "every right that was added is made use of", used).await;
    assert_eq!(api.forbidden_to(namespace, ACCOUNT), Vec::<String>::new());
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
