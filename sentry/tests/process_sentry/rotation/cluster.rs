//! A rotation as people see it, with `kubectl`, and with the rights that the chart gives.

use std::path::PathBuf;

use serde_json::{Value, json};
use trilby_identity::Anchors;
use trilby_testkit::{
    ApiServer, assert_eventually, mesh::TRUST_DOMAIN, services::Sentry, unexpected,
};

use super::{
    BUNDLE, Home, LIMIT, annotate, caller, config_map, confined, control_plane, replica, secret,
    sentry, status,
};
use crate::caller::{openssl_verify_by, request};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/dapr");

/// A kubeconfig with sentry's rights in a namespace, as the chart has them.
async fn rights(api: &ApiServer, namespace: &str) -> PathBuf {
    let rendered = api
        .helm(&[
            "template",
            "dapr",
            CHART,
            "--namespace",
            namespace,
            "--show-only",
            "charts/dapr_rbac/templates/sentry.yaml",
        ])
        .await;
    // Roles of a cluster have one name for all namespaces.
    api.apply(&rendered).await;
    api.kubeconfig_of(namespace, "dapr-sentry").await
}

/// A pod with a sidecar that was started with these anchors, as the injector makes it.
pub(super) async fn pod(api: &ApiServer, namespace: &str, name: &str, anchors: &str) {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": namespace,
            "labels": {"dapr.io/sidecar-injected": "true"},
            "annotations": {"dapr.io/app-id": name},
        },
        "spec": {"containers": [
            {"name": "app", "image": "example.org/app:1"},
            {"name": "daprd", "image": "example.org/daprd:1",
             "env": [{"name": "DAPR_TRUST_ANCHORS", "value": anchors}]},
        ]},
    });
    api.apply(&pod.to_string()).await;
}

/// The reasons of all events about the trust bundle.
async fn events(api: &ApiServer, namespace: &str) -> Vec<String> {
    let found = api.get_json(namespace, "events.v1.events.k8s.io").await;
    let events = found["items"].as_array().cloned().unwrap_or_default();
    let about = |event: &Value| event["regarding"]["name"] == BUNDLE;
    let reasons = events.iter().filter(|event| about(event));
    reasons
        .map(|event| event["reason"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Two replicas, a shop, and two pods in it with what was trusted when they were made.
pub(super) struct World {
    pub(super) api: &'static ApiServer,
    pub(super) system: String,
    pub(super) shop: String,
    pub(super) replicas: [Sentry; 2],
    pub(super) first: String,
    dir: tempfile::TempDir,
}

impl World {
    /// With certificates that hold so long.
    pub(super) async fn start(ttl: &str) -> Self {
        let (api, system) = control_plane(ttl).await;
        let shop = api.namespace("shop").await;
        let kubeconfig = rights(api, &system).await;
        Self::with(api, kubeconfig, (system, shop)).await
    }

    /// The same in one namespace, with rights there alone: all pods that are thought of are this test's.
    pub(super) async fn confined(ttl: &str) -> Self {
        let (api, system) = control_plane(ttl).await;
        let kubeconfig = confined(api, &system).await;
        Self::with(api, kubeconfig, (system.clone(), system)).await
    }

    async fn with(
        api: &'static ApiServer,
        kubeconfig: PathBuf,
        (system, shop): (String, String),
    ) -> Self {
        let mut replicas = [sentry(&kubeconfig, &system), sentry(&kubeconfig, &system)];
        for replica in &mut replicas {
            replica.start().await;
        }
        let first = config_map(api, &system, "ca.crt").await;
        for name in ["cart", "till"] {
            pod(api, &shop, name, &first).await;
        }
        Self {
            api,
            system,
            shop,
            replicas,
            first,
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(super) async fn token(&self, pod: &str) -> PathBuf {
        let audience = format!("spiffe://{TRUST_DOMAIN}/ns/{}/dapr-sentry", self.system);
        let token = self.api.pod_token(&self.shop, pod, &audience).await;
        let path = self.dir.path().join(format!("{pod}.token"));
        std::fs::write(&path, token).unwrap();
        path
    }

    /// Whether a replica waited, once both roots were trusted, for the pod that never says what it trusts.
    fn has_waited_for_till(&self) -> bool {
        let till = format!("{}/till", self.shop);
        let waits = |line: &str| {
            line.contains("the rotation of the root waits") && line.contains("distributed")
        };
        let mut logs = self.replicas.iter().map(|replica| replica.log().text());
        logs.any(|log| log.lines().any(|line| waits(line) && line.contains(&till)))
    }

    /// Started again with its snapshot, the pod reaches any replica, and whoever holds either root believes it.
    async fn till_is_served(&self, second: &str) {
        let token = std::fs::read_to_string(self.token("till").await).unwrap();
        for replica in &self.replicas {
            let till = caller(replica, &self.system, &self.first);
            let asked = request(&self.shop, "till", &token);
            let response = till.sign(asked).await.unwrap();
            for root in [&self.first, second] {
                openssl_verify_by(root, &response);
            }
        }
    }

    async fn everything_is_told_once_and_tidied_up(&self) {
        let steps = [
            "RootPrepared",
            "RootDistributed",
            "IssuerActive",
            "RootRetired",
        ];
        let told = async || {
            let mut events = events(self.api, &self.system).await;
            events.retain(|reason| steps.contains(&reason.as_str()));
            events.sort_unstable();
            let mut once = steps;
            once.sort_unstable();
            events == once
        };
        assert_eventually!(told().await, LIMIT);
        let documents = secret(self.api, &self.system).await;
        for gone in ["ca.crt", "issuer.crt", "issuer.key", "ca.key"] {
            assert!(documents[format!("next-{gone}")].is_null(), "{gone}");
        }
        for replica in &self.replicas {
            let phase = r#"dapr_sentry_rotation_phase{phase="retired"} 1"#;
            assert_eventually!(replica.metrics().await.contains(phase), LIMIT);
            let log = replica.log().text();
            assert!(!log.contains("PRIVATE KEY"), "{log}");
            // What the chart allows is enough.
            assert!(!log.contains("forbidden"), "{log}");
        }
    }
}

#[tokio::test]
async fn an_annotation_rotates_the_root_and_snapshots_are_served_over_the_bridge() {
    let world = World::start("20s").await;
    let (api, system) = (world.api, &world.system);
    let first = &world.first;
    // One workload with our client; upstream's sleeps with what it was started with.
    let token = world.token("cart").await;
    let home = Home {
        sentry: world.replicas[0].grpc_address().to_string(),
        system,
        namespace: &world.shop,
        token: Some(&token),
    };
    let cart = home.workload("cart", Anchors::Pem(first.clone())).await;

    annotate(api, system, "dapr.io/rotation-paused=true").await;
    annotate(api, system, "dapr.io/rotate-root=now").await;
    let paused = |status: &str| {
        status.starts_with("phase: stable\n") && status.contains("waitingFor: paused\n")
    };
    status(api, system, paused).await;
    annotate(api, system, "dapr.io/rotation-paused=false").await;
    // It says nothing, so one life of a certificate passes.
    let till = format!("- {}/till\n", world.shop);
    let retired = |status: &str| status.starts_with("phase: retired\n") && status.contains(&till);
    let retired = status(api, system, retired).await;
    assert!(world.has_waited_for_till());
    assert!(retired.contains("asked for by hand: now"), "{retired}");
    assert!(retired.contains("bridgeEnds: "), "{retired}");
    let second = trilby_testkit::eventually::within(LIMIT, "the old root is gone", async || {
        let anchors = config_map(api, system, "ca.crt").await;
        match anchors.contains(first.trim()) {
            true => Err(unexpected(anchors)),
            false => Ok(anchors),
        }
    })
    .await;
    assert_eventually!(cart.identity.current_bundle().pem() == second, LIMIT);
    world.till_is_served(&second).await;
    world.everything_is_told_once_and_tidied_up().await;
}

#[tokio::test]
async fn a_broken_secret_shows_as_condition_event_and_metric_and_the_last_good_authority_signs() {
    let (api, system, sentry) = replica("1h").await;
    let good = secret(api, &system).await;
    let patch = |data: Value| {
        let patch = json!({"data": data}).to_string();
        let system = system.clone();
        async move {
            let secret = [
                "patch",
                "secret",
                BUNDLE,
                "-n",
                &system,
                "--type=merge",
                "-p",
                &patch,
            ];
            api.kubectl(&secret).await;
        }
    };
    patch(json!({"issuer.crt": "aGFsZiBvZiBpdA=="})).await;
    let broken = status(api, &system, |status| {
        status.contains("status: 'False'") || status.contains("status: \"False\"")
    })
    .await;
    assert!(
        broken.contains("issuer.crt: contains no certificate"),
        "{broken}"
    );
    let told = async || {
        let events = events(api, &system).await;
        events.contains(&"AuthorityUnusable".to_owned())
    };
    assert_eventually!(told().await, LIMIT);
    let unusable = "dapr_sentry_stored_authority_usable 0";
    assert_eventually!(sentry.metrics().await.contains(unusable), LIMIT);
    let anchors = config_map(api, &system, "ca.crt").await;
    let (code, text) = caller(&sentry, &system, &anchors)
        .refusal(request("x", "y", ""))
        .await;
    assert_eq!(code, tonic::Code::PermissionDenied, "it answers: {text}");
    assert!(sentry.is_healthy().await);

    patch(good.clone()).await;
    status(api, &system, |status| !status.contains("False")).await;
    // Half of it is not there at all: what is in use is written again.
    patch(json!({"issuer.key": null})).await;
    let repaired = async || secret(api, &system).await["issuer.key"] == good["issuer.key"];
    assert_eventually!(repaired().await, LIMIT);
    let told = async || events(api, &system).await.contains(&"Repaired".to_owned());
    assert_eventually!(told().await, LIMIT);
}
