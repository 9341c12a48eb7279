//! The issuer renews itself.

use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};
use trilby_identity::pem;
use trilby_testkit::{
    ApiServer,
    mesh::{TRUST_DOMAIN, install_crds},
    services::Sentry,
    unexpected,
};

use crate::caller::{Caller, openssl_verify, request};

const BUNDLE: &str = "dapr-trust-bundle";
const DAY: Duration = Duration::from_hours(24);

/// An authority whose issuer is past two thirds of its life.
struct Aged {
    ca: String,
    ca_key: String,
    issuer: String,
    issuer_key: String,
}

fn authority(name: &str, (begin, end): (SystemTime, SystemTime)) -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::OrganizationName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
    ];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = (begin.into(), end.into());
    params
}

fn aged() -> Aged {
    let key = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let (root_key, issuer_key) = (key(), key());
    let now = SystemTime::now();
    let begin = now - 300 * DAY;
    let root = authority("root", (begin, now + 3000 * DAY))
        .self_signed(&root_key)
        .unwrap();
    let (ca, ca_key) = (
        pem::encode("CERTIFICATE", root.der()),
        root_key.serialize_pem(),
    );
    let root = Issuer::from_ca_cert_der(root.der(), root_key).unwrap();
    let issuer = authority("issuer", (begin, now + 10 * DAY))
        .signed_by(&issuer_key, &root)
        .unwrap();
    Aged {
        ca,
        ca_key,
        issuer: pem::encode("CERTIFICATE", issuer.der()),
        issuer_key: issuer_key.serialize_pem(),
    }
}

async fn namespace(api: &ApiServer, aged: &Aged, root_key: Option<&str>) -> String {
    install_crds(api).await;
    let namespace = api.namespace("dapr-system").await;
    let metadata = |name: &str| json!({"name": name, "namespace": namespace});
    let mut documents =
        json!({"ca.crt": aged.ca, "issuer.crt": aged.issuer, "issuer.key": aged.issuer_key});
    if let Some(key) = root_key {
        documents["ca.key"] = json!(key);
    }
    for object in [
        json!({
            "apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "metadata": metadata("daprsystem"),
            "spec": {"mtls": {"enabled": true, "sentryAddress": "unused:443", "controlPlaneTrustDomain": TRUST_DOMAIN}},
        }),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(BUNDLE), "data": {"ca.crt": aged.ca}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata(BUNDLE), "stringData": documents}),
    ] {
        api.apply(&object.to_string()).await;
    }
    namespace
}

fn sentry(api: &ApiServer, namespace: &str) -> Sentry {
    Sentry::new()
        .kubernetes(api.kubeconfig(), namespace)
        .arg("--trust-domain", TRUST_DOMAIN)
}

async fn secret(api: &ApiServer, namespace: &str) -> Value {
    api.get_json(namespace, &format!("secret/{BUNDLE}")).await["data"].clone()
}

#[tokio::test]
async fn replicas_renew_the_issuer_once_and_the_root_stays() {
    let api = ApiServer::shared().await;
    let aged = aged();
    let namespace = namespace(api, &aged, Some(&aged.ca_key)).await;
    let before = secret(api, &namespace).await;
    let mut replicas: Vec<_> = (0..3).map(|_| sentry(api, &namespace)).collect();
    for replica in &mut replicas {
        replica.launch();
    }
    for replica in &mut replicas {
        replica.healthy().await;
    }
    let after = api
        .eventually("the issuer is renewed", async |_| {
            let found = secret(api, &namespace).await;
            match found["issuer.crt"] == before["issuer.crt"] {
                true => Err(unexpected("the old one")),
                false => Ok(found),
            }
        })
        .await;
    assert_ne!(after["issuer.key"], before["issuer.key"]);
    for kept in ["ca.crt", "ca.key"] {
        assert_eq!(after[kept], before[kept], "{kept}");
    }
    // Whoever renewed it, all use it, and the anchors of old verify what they sign.
    for replica in &replicas {
        let far = "dapr_sentry_issuercert_expires_in_seconds 31";
        api.eventually("every replica uses the new issuer", async |_| {
            let metrics = replica.metrics().await;
            match metrics.contains(far) {
                true => Ok(()),
                false => Err(unexpected("the old issuer")),
            }
        })
        .await;
        let caller = Caller {
            sentry: replica.grpc_address(),
            sentry_id: format!("spiffe://{TRUST_DOMAIN}/ns/{namespace}/dapr-sentry")
                .parse()
                .unwrap(),
            anchors: aged.ca.clone(),
        };
        let (code, text) = caller.refusal(request("x", "y", "")).await;
        assert_eq!(code, tonic::Code::PermissionDenied, "{text}");
    }
    assert_eq!(secret(api, &namespace).await, after, "once is enough");
}

#[tokio::test]
async fn an_issuer_without_its_roots_key_stays_and_its_end_is_announced() {
    let api = ApiServer::shared().await;
    let aged = aged();
    let namespace = namespace(api, &aged, None).await;
    let before = secret(api, &namespace).await;
    let mut sentry = sentry(api, &namespace);
    sentry.start().await;
    let log = sentry.log();
    log.wait_for("the root's key is not kept here").await;
    let line = log.wait_for("the certificate authority expires soon").await;
    assert!(
        line.contains("days=9") && line.contains("what=issuer"),
        "{line}"
    );
    assert_eq!(secret(api, &namespace).await, before);
}

#[tokio::test]
async fn killed_at_any_moment_of_a_renewal_sentry_comes_back_with_one_whole_authority() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let aged = aged();
    for kill_after in [
        None,
        Some("certificate authority in use"),
        Some("issuer renewed"),
    ] {
        for (name, content) in [
            ("ca.crt", &aged.ca),
            ("ca.key", &aged.ca_key),
            ("issuer.crt", &aged.issuer),
            ("issuer.key", &aged.issuer_key),
        ] {
            std::fs::write(path(name), content).unwrap();
        }
        let mut sentry = Sentry::new()
            .arg("--issuer-credentials", dir.path().display())
            .arg("--trust-domain", TRUST_DOMAIN);
        sentry.launch();
        if let Some(line) = kill_after {
            sentry.log().wait_for(line).await;
        }
        sentry.kill().await;
        let position = sentry.log().position();
        sentry.start().await;
        let renewed = || std::fs::read_to_string(path("issuer.crt")).unwrap() != aged.issuer;
        trilby_testkit::assert_eventually!(renewed());
        assert!(!path("issuer.crt.next").exists());
        assert_eq!(std::fs::read_to_string(path("ca.crt")).unwrap(), aged.ca);
        let caller = Caller {
            sentry: sentry.grpc_address(),
            sentry_id: format!("spiffe://{TRUST_DOMAIN}/ns/default/dapr-sentry")
                .parse()
                .unwrap(),
            anchors: aged.ca.clone(),
        };
        let response = caller.sign(request("shop", "cart", "")).await.unwrap();
        openssl_verify(&response);
        let log = sentry.log().text();
        assert!(!log[position..].contains("could not be loaded"), "{log}");
        assert!(sentry.stop().await.success());
    }
}
