use std::collections::BTreeMap;

use super::{Settings, SettingsError};
use crate::injection::{Actors, PullPolicy, ServiceAddress};

const REQUIRED: [(&str, &str); 3] = [
    ("NAMESPACE", "dapr-system"),
    ("SIDECAR_IMAGE", "registry.example/daprd:1.18.0"),
    ("KUBE_CLUSTER_DOMAIN", "cluster.local"),
];

fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let env: BTreeMap<_, _> = REQUIRED.iter().chain(variables).copied().collect();
    Settings::read(|name| env.get(name).map(|&value| value.to_owned()))
}

#[test]
fn defaults_are_upstreams() {
    let settings = read(&[]).unwrap();
    assert_eq!(settings.trust_domain, "cluster.local");
    assert_eq!(
        settings.trust_anchors_file.to_str(),
        Some("/var/run/dapr.io/tls/ca.crt")
    );
    let placement = ServiceAddress::new("dapr-placement-server", 50005);
    assert_eq!(settings.actors, Actors::Placement(placement));
    assert_eq!(settings.reminders, None);
    let sidecar = settings.sidecar;
    assert_eq!(sidecar.pull_policy, PullPolicy::Always);
    assert!(sidecar.run_as_non_root && sidecar.read_only_root_filesystem);
    assert!(!sidecar.native && !sidecar.drop_all_capabilities && !sidecar.downward_api);
    assert_eq!(
        sidecar.component_sockets_folder,
        "/tmp/dapr-components-sockets"
    );
}

#[test]
fn every_problem_is_reported_at_once() {
    let variables = [
        ("ACTORS_SERVICE_NAME", "other"),
        ("ACTORS_SERVICE_ADDRESS", "nowhere"),
        ("REMINDERS_SERVICE_NAME", "reminders"),
        ("SIDECAR_RUN_AS_USER", "nobody"),
        ("ALLOWED_SERVICE_ACCOUNTS", "missing-colon"),
    ];
    let env: BTreeMap<_, _> = variables.into_iter().collect();
    let error = Settings::read(|name| env.get(name).map(|&value| value.to_owned()))
        .unwrap_err()
        .to_string();
    for part in [
        "NAMESPACE: must be set",
        "SIDECAR_IMAGE: must be set",
        "ACTORS_SERVICE_ADDRESS: \"nowhere\": \"nowhere\" is not of the form '<name>:<port>'",
        "REMINDERS_SERVICE_ADDRESS: \"\"",
        "SIDECAR_RUN_AS_USER: \"nobody\"",
        "ALLOWED_SERVICE_ACCOUNTS: invalid pattern \"missing-colon\"",
    ] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
}

#[test]
fn an_empty_namespace_is_as_none() {
    let error = read(&[("NAMESPACE", "")]).unwrap_err().to_string();
    assert_eq!(error, "bad environment: NAMESPACE: must be set");
}

#[test]
fn pull_policies_other_than_kubernetes_own_mean_if_not_present() {
    for (value, policy) in [
        ("Never", PullPolicy::Never),
        ("", PullPolicy::IfNotPresent),
        ("always", PullPolicy::IfNotPresent),
    ] {
        let settings = read(&[("SIDECAR_IMAGE_PULL_POLICY", value)]).unwrap();
        assert_eq!(settings.sidecar.pull_policy, policy);
    }
}

#[test]
fn actors_may_be_off_or_another_service() {
    let off = read(&[("ACTORS_ENABLED", "false")]).unwrap();
    assert_eq!(off.actors, Actors::Off);
    let other = [
        ("ACTORS_SERVICE_NAME", "other"),
        ("ACTORS_SERVICE_ADDRESS", "svc:1"),
    ];
    let address = ServiceAddress::new("svc", 1);
    let name = "other".to_owned();
    assert_eq!(
        read(&other).unwrap().actors,
        Actors::Service { name, address }
    );
}

#[test]
fn default_reminders_are_the_sidecars_own() {
    let settings = read(&[("REMINDERS_SERVICE_NAME", "default")]).unwrap();
    assert_eq!(settings.reminders, None);
}

#[test]
fn both_lists_of_accounts_count() {
    let settings = read(&[
        ("ALLOWED_SERVICE_ACCOUNTS", "a:b"),
        ("ALLOWED_SERVICE_ACCOUNTS_PREFIX_NAMES", "c-*:d-*"),
    ]);
    let requesters = settings.unwrap().requesters;
    assert!(requesters.allow("system:serviceaccount:a:b", &[]));
    assert!(requesters.allow("system:serviceaccount:c-1:d-2", &[]));
}

#[test]
fn tolerations_that_cannot_be_read_are_ignored() {
    let good = r#"[{"key": "aws", "operator": "Exists", "effect": "NoSchedule"}]"#;
    for (value, count) in [(good, 1), ("[", 0), ("{}", 0)] {
        let settings = read(&[("IGNORE_ENTRYPOINT_TOLERATIONS", value)]).unwrap();
        assert_eq!(settings.sidecar.ignore_entrypoint_tolerations.len(), count);
    }
}
