//! From an authority of sentry's own to one outside and back, by flags alone: a rotation as any other.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use trilby_identity::{Csr, KeyType, Svid, TrustBundle};
use trilby_testkit::{eventually::within, services::Sentry, unexpected};

use super::{BUNDLE, CERT_MANAGER, Outside, World, certificates};
use crate::caller::{Caller, request};

/// For what takes several lives of a certificate, on a machine that has much else to do.
const LIMIT: Duration = Duration::from_mins(5);

/// Everything that was published since a move began: somebody was started with each.
struct Holders<'a> {
    world: &'a World,
    token: String,
    anchors: Vec<String>,
}

impl<'a> Holders<'a> {
    async fn now(world: &'a World) -> Self {
        let audience = world.audience();
        Self {
            world,
            token: world
                .api
                .pod_token(&world.namespace, "cart", &audience)
                .await,
            anchors: vec![world.published("ca.crt").await],
        }
    }

    /// Waits for a status, and what is published with it; until both are there, each holder accepts sentry, and what it signs up to its last second.
    async fn accept_until(
        &mut self,
        sentry: &Sentry,
        wanted: impl Fn(&str, &str) -> bool,
    ) -> String {
        within(LIMIT, "the status", async || {
            let status = self.world.published("status").await;
            let published = self.world.published("ca.crt").await;
            if !self.anchors.contains(&published) {
                self.anchors.push(published.clone());
            }
            self.accept(sentry).await;
            match wanted(&status, &published) {
                true => Ok(status),
                false => Err(unexpected(&status)),
            }
        })
        .await
    }

    async fn accept(&self, sentry: &Sentry) {
        let leaves = self.leaves(sentry).await;
        for anchors in &self.anchors {
            let anchors = TrustBundle::from_pem(anchors.as_bytes()).unwrap();
            for leaf in &leaves {
                leaf.verify(&anchors, last_moment(leaf)).unwrap();
            }
        }
    }

    /// One for each, over a connection that it believes.
    async fn leaves(&self, sentry: &Sentry) -> Vec<Svid> {
        let mut leaves = Vec::new();
        for anchors in &self.anchors {
            let caller = Caller {
                sentry: sentry.grpc_address(),
                sentry_id: self.world.audience().parse().unwrap(),
                anchors: anchors.clone(),
            };
            let csr = Csr::generate(KeyType::Ed25519).unwrap();
            let mut asked = request(&self.world.namespace, "cart", &self.token);
            asked.certificate_signing_request = csr.pem.into();
            let response = caller.sign(asked).await.unwrap();
            leaves.push(Svid::from_pem(&response.workload_certificate, csr.key).unwrap());
        }
        leaves
    }
}

fn last_moment(leaf: &Svid) -> SystemTime {
    leaf.not_after() - Duration::from_secs(1)
}

impl World {
    async fn published(&self, key: &str) -> String {
        let name = format!("configmap/{BUNDLE}");
        let found = self.api.get_json(&self.namespace, &name).await;
        found["data"][key].as_str().unwrap_or_default().to_owned()
    }

    async fn certificates_hold_for(&self, ttl: &str) {
        let patch = json!({"spec": {"mtls": {"workloadCertTTL": ttl}}}).to_string();
        let configuration = ["patch", "configuration.dapr.io", "daprsystem"];
        let patch = ["-n", &self.namespace, "--type=merge", "-p", &patch];
        self.api
            .kubectl(&[&configuration[..], &patch].concat())
            .await;
    }
}

/// Whether the old root is gone, also from the copy, which follows the status.
fn is_retired(status: &str, (old, anchors): (&str, &str)) -> bool {
    let (old, anchors) = (
        certificates(old.as_bytes()),
        certificates(anchors.as_bytes()),
    );
    status.starts_with("phase: retired\n") && !anchors.contains(&old[0])
}

#[tokio::test]
async fn flags_move_the_authority_outside_and_back_and_no_holder_of_any_root_is_refused() {
    let (world, outside) = (World::new().await, Outside::new());
    world.install_cert_manager().await;
    world.certificates_hold_for("4s").await;
    let mut own = world.sentry(world.api.kubeconfig().to_owned());
    own.start().await;
    let mut holders = Holders::now(&world).await;
    let first = holders.anchors[0].clone();
    own.stop().await;

    let mut moved = world.with_cert_manager();
    moved.start().await;
    let pending = |status: &str, _: &str| status.contains("waits for approval");
    let waits = holders.accept_until(&moved, pending).await;
    assert!(waits.starts_with("phase: stable\n"), "{waits}");
    let asked = world.request(CERT_MANAGER, &Value::Null).await;
    world
        .issue(&outside.answers(&asked, 1), &outside.root)
        .await;
    let gone = |status: &str, anchors: &str| is_retired(status, (&first, anchors));
    let there = holders.accept_until(&moved, gone).await;
    assert!(
        there.contains("authorities are to come from cert-manager"),
        "{there}"
    );
    assert!(!there.contains("noBridge"), "{there}");
    let bundle = world.bundle().await;
    assert!(bundle["ca.key"].is_null(), "nobody's any more");
    world.leaf_is_good(&moved, &outside.root).await;
    moved.stop().await;

    let mut holders = Holders::now(&world).await;
    let mut back = world.sentry(world.api.kubeconfig().to_owned());
    back.start().await;
    let gone = |status: &str, anchors: &str| is_retired(status, (&outside.root, anchors));
    let returned = holders.accept_until(&back, gone).await;
    assert!(
        returned.contains("authorities are to come from self-signed"),
        "{returned}"
    );
    assert!(!returned.contains("noBridge"), "{returned}");
    assert!(world.bundle().await["ca.key"].is_string());
    let root = world.published("ca.crt").await;
    world.leaf_is_good(&back, &root).await;
}
