//! The client library against the real thing.

use std::{fs, path::Path, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use trilby_identity::{Anchors, KeyType, TrustDomain};
use trilby_sentry_client::{Config, ControlPlane, Health, Hooks, TokenSource, start};
use trilby_testkit::{assert_eventually, services::Sentry};

const LIMIT: Duration = Duration::from_secs(20);

fn config(sentry: &Sentry, anchors: Anchors, app_id: &str) -> Config {
    let trust_domain = TrustDomain::parse("td").unwrap();
    Config {
        sentry_address: sentry.grpc_address().to_string(),
        control_plane: ControlPlane::new(trust_domain, "default").unwrap(),
        app_id: app_id.to_owned(),
        namespace: "default".to_owned(),
        token: TokenSource::Absent,
        key_type: KeyType::Ed25519,
        jwt_audiences: Vec::new(),
        anchors,
    }
}

/// Keeps every change of health, and ends with the test.
#[derive(Clone, Default)]
struct Owner {
    health: Arc<Mutex<Vec<Health>>>,
    metrics: prometheus::Registry,
    cancel: CancellationToken,
}

impl Owner {
    fn hooks(&self) -> Hooks {
        let health = Arc::clone(&self.health);
        Hooks {
            metrics: self.metrics.clone(),
            cancel: self.cancel.clone(),
            health: Arc::new(move |change| health.lock().push(change)),
        }
    }

    fn last(&self) -> Option<Health> {
        self.health.lock().last().cloned()
    }
}

fn sentry(dir: &Path) -> Sentry {
    Sentry::new()
        .arg("--issuer-credentials", dir.display())
        .arg("--trust-domain", "td")
}

#[tokio::test]
async fn sentry_may_be_away_at_first_and_the_reason_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut sentry = sentry(dir.path());
    let owner = Owner::default();
    let anchors = Anchors::File(dir.path().join("ca.crt"));
    let config = config(&sentry, anchors, "dapr-placement");
    let (identity, renewal) = start(config, owner.hooks()).unwrap();
    let renewal = tokio::spawn(renewal);
    assert!(
        identity
            .wait_first(Duration::from_millis(50))
            .await
            .is_err()
    );
    sentry.start().await;
    let svid = identity.wait_first(LIMIT).await.unwrap();
    assert_eq!(svid.id().as_str(), "spiffe://td/ns/default/dapr-placement");
    assert_eventually!(owner.last() == Some(Health::Ready));
    owner.cancel.cancel();
    tokio::time::timeout(LIMIT, renewal).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_identity_outlives_sentry_until_it_expires_and_comes_back_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let sentry = sentry(dir.path());
    let configuration = sentry.file(
        "config.yaml",
        "kind: Configuration\nspec: {mtls: {workloadCertTTL: 3s, allowedClockSkew: 1s}}\n",
    );
    let mut sentry = sentry.arg("--config", configuration.display());
    sentry.start().await;
    let owner = Owner::default();
    let anchors = fs::read_to_string(dir.path().join("ca.crt")).unwrap();
    let config = config(&sentry, Anchors::Pem(anchors), "cart");
    let (identity, renewal) = start(config, owner.hooks()).unwrap();
    let renewal = tokio::spawn(renewal);
    let first = identity.wait_first(LIMIT).await.unwrap();
    assert_eq!(first.id().as_str(), "spiffe://public/ns/default/cart");
    assert_eventually!(identity.current().unwrap().chain() != first.chain());
    assert_eq!(owner.last(), Some(Health::Ready));

    sentry.stop().await;
    assert_eventually!(matches!(owner.last(), Some(Health::NotReady(_))), LIMIT);
    let expired = "identity certificate expired and could not be renewed".to_owned();
    assert!(owner.health.lock().contains(&Health::NotReady(expired)));
    let reasons = owner.metrics.gather();
    let failed = "dapr_runtime_mtls_workload_cert_rotated_fail_total";
    let failed = reasons
        .iter()
        .find(|family| family.name() == failed)
        .unwrap();
    assert!(!failed.get_metric().is_empty());

    sentry.start().await;
    assert_eventually!(owner.last() == Some(Health::Ready), LIMIT);
    owner.cancel.cancel();
    tokio::time::timeout(LIMIT, renewal).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let sentry = sentry(dir.path());
    let refused = |change: &dyn Fn(&mut Config)| {
        let anchors = Anchors::File(dir.path().join("ca.crt"));
        let mut config = config(&sentry, anchors, "cart");
        change(&mut config);
        let started = start(config, Owner::default().hooks());
        started.map(|_| ()).unwrap_err().to_string()
    };
    let text = refused(&|config| config.namespace.clear());
    assert!(text.contains("namespace is required"), "{text}");
    let text = refused(&|config| config.app_id.clear());
    assert!(text.contains("app ID is required"), "{text}");
    let text = refused(&|config| config.sentry_address = "nowhere".to_owned());
    assert!(text.contains("\"nowhere\""), "{text}");
    let text = refused(&|config| config.anchors = Anchors::Pem("nonsense".to_owned()));
    assert!(text.contains("no certificate"), "{text}");
}
