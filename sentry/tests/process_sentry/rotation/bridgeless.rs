//! A root that ends, and that nobody can lead away from: its issuer may sign no other authorities, its key is nowhere.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};
use trilby_identity::{Anchors, pem};
use trilby_testkit::{ApiServer, assert_eventually, mesh::TRUST_DOMAIN};

use super::{
    BUNDLE, Home, LIMIT, caller, cluster::pod, config_map, confined, control_plane, delete_pod,
    secret, sentry, status,
};
use crate::caller::{openssl_verify_by, request};

const DAY: Duration = Duration::from_hours(24);

/// An authority as a sentry makes it, past two thirds of its root's life. Returns its root.
async fn store_aged(api: &ApiServer, namespace: &str) -> String {
    let sentry = format!("spiffe://{TRUST_DOMAIN}/ns/{namespace}/dapr-sentry");
    let key = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let (root_key, issuer_key) = (key(), key());
    let root = authority(TRUST_DOMAIN, BasicConstraints::Unconstrained);
    let root = root.self_signed(&root_key).unwrap();
    let ca = pem::encode("CERTIFICATE", root.der());
    let root = Issuer::from_ca_cert_der(root.der(), root_key).unwrap();
    let issuer = authority(&sentry, BasicConstraints::Constrained(0));
    let issuer = issuer.signed_by(&issuer_key, &root).unwrap();
    let metadata = json!({"name": BUNDLE, "namespace": namespace});
    let documents = json!({
        "ca.crt": ca,
        "issuer.crt": pem::encode("CERTIFICATE", issuer.der()),
        "issuer.key": issuer_key.serialize_pem(),
    });
    for object in [
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": documents}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ca.crt": ca}}),
    ] {
        api.apply(&object.to_string()).await;
    }
    ca
}

fn authority(name: &str, constraints: BasicConstraints) -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::OrganizationName, name);
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
    ];
    params.use_authority_key_identifier_extension = true;
    params.not_before = (SystemTime::now() - 300 * DAY).into();
    params.not_after = (SystemTime::now() + 100 * DAY).into();
    params
}

/// As if the phase had begun a day earlier, so that certificates of the time before have ended.
async fn a_day_passes(api: &ApiServer, namespace: &str) {
    let record = &secret(api, namespace).await["rotation.json"];
    let record = BASE64_STANDARD.decode(record.as_str().unwrap()).unwrap();
    let mut record: Value = serde_json::from_slice(&record).unwrap();
    for time in ["since", "longerLeavesEnd"] {
        let earlier = record[time].as_u64().unwrap() - DAY.as_secs() - 60;
        record[time] = json!(earlier);
    }
    let record = BASE64_STANDARD.encode(record.to_string());
    let patch = json!({"data": {"rotation.json": record}}).to_string();
    let secret = ["-n", namespace, "patch", "secret", BUNDLE];
    let patch = ["--type=merge", "-p", &patch];
    api.kubectl(&[&secret[..], &patch].concat()).await;
}

#[tokio::test]
async fn an_old_root_is_replaced_unasked_and_without_a_bridge_every_pod_is_waited_for() {
    let (api, system) = control_plane("8s").await;
    let first = store_aged(api, &system).await;
    for name in ["cart", "till"] {
        pod(api, &system, name, &first).await;
    }
    let mut sentry = sentry(&confined(api, &system).await, &system);
    sentry.start().await;
    let audience = format!("spiffe://{TRUST_DOMAIN}/ns/{system}/dapr-sentry");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let token = api.pod_token(&system, "cart", &audience).await;
    std::fs::write(&path, &token).unwrap();
    let home = Home {
        sentry: sentry.grpc_address().to_string(),
        system: &system,
        namespace: &system,
        token: Some(&path),
    };
    let cart = home.workload("cart", Anchors::Pem(first.clone())).await;

    // One says that it trusts the new root; the other one never says anything.
    let alone = format!("workloads:\n- {system}/till\nworkloadCount: 1\n");
    let waits = status(api, &system, |status| status.contains(&alone)).await;
    for told in [
        "phase: distributed\n",
        "two thirds of the root's life are over",
        "noBridge: ",
    ] {
        assert!(waits.contains(told), "{waits}");
    }
    assert!(!waits.contains("bridgeEnds"), "{waits}");
    delete_pod(api, &system, "till").await;
    let older = |status: &str| status.contains("pods that are being made from older copies");
    status(api, &system, older).await;
    a_day_passes(api, &system).await;

    let rests = |status: &str| status.starts_with("phase: stable\n");
    status(api, &system, rests).await;
    let is_replaced = async || {
        let anchors = config_map(api, &system, "ca.crt").await;
        !anchors.contains(first.trim())
    };
    assert_eventually!(is_replaced().await, LIMIT);
    let second = config_map(api, &system, "ca.crt").await;
    assert_eventually!(cart.identity.current_bundle().pem() == second, LIMIT);
    let caller = caller(&sentry, &system, &second);
    let response = caller.sign(request(&system, "cart", &token)).await.unwrap();
    openssl_verify_by(&second, &response);
}
