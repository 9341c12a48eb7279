//! A client that wants more than its due: it gets nothing, and nothing breaks.

use jsonwebtoken::{Algorithm, EncodingKey, Header, dangerous::insecure_decode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use trilby_identity::pem;
use trilby_proto::sentry::v1::SignCertificateRequest;
use trilby_testkit::{ApiServer, mesh::Mesh};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer as _, X509Certificate},
};

use crate::caller::{Caller, request};

/// A pod of the app `cart`, whose owner is curious.
struct Intruder {
    mesh: Mesh,
    caller: Caller,
    shop: String,
    token: String,
}

impl Intruder {
    async fn start(api: &ApiServer) -> Self {
        let mesh = Mesh::start(api).await;
        let caller = Caller {
            sentry: mesh.sentry.grpc_address(),
            sentry_id: mesh.audience().parse().unwrap(),
            anchors: mesh.anchors().to_owned(),
        };
        let shop = api.namespace("shop").await;
        let token = pod(api, &shop, "cart-1", &mesh.audience()).await;
        Self {
            mesh,
            caller,
            shop,
            token,
        }
    }

    fn request(&self) -> SignCertificateRequest {
        request(&self.shop, "cart", &self.token)
    }

    fn with(&self, change: impl FnOnce(&mut SignCertificateRequest)) -> SignCertificateRequest {
        let mut request = self.request();
        change(&mut request);
        request
    }

    async fn granted(&self) -> String {
        let metrics = self.mesh.sentry.metrics().await;
        let name = "dapr_sentry_cert_sign_success_total ";
        let line = metrics.lines().find(|line| line.starts_with(name));
        line.expect("it is counted").to_owned()
    }
}

async fn pod(api: &ApiServer, namespace: &str, name: &str, audience: &str) -> String {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "annotations": {"dapr.io/app-id": "cart"}},
        "spec": {"containers": [{"name": "app", "image": "example.org/app:1"}]},
    });
    api.apply(&pod.to_string()).await;
    api.pod_token(namespace, name, audience).await
}

/// The same token with other claims, signed with a key of the intruder's, or with the cluster's own.
fn resigned(token: &str, key: &EncodingKey, change: impl FnOnce(&mut Value)) -> String {
    let decoded = insecure_decode::<Value>(token).unwrap();
    let mut header = Header::new(Algorithm::ES256);
    header.kid = decoded.header.kid;
    let mut claims = decoded.claims;
    change(&mut claims);
    jsonwebtoken::encode(&header, &claims, key).unwrap()
}

fn own_key() -> EncodingKey {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    EncodingKey::from_ec_der(pair.serialized_der())
}

fn clusters_key(api: &ApiServer) -> EncodingKey {
    let key = api.ca_file().with_file_name("sa.key");
    EncodingKey::from_ec_pem(&std::fs::read(key).unwrap()).unwrap()
}

/// Something that must not be granted, and what is wrong with it.
type Attempt = (&'static str, SignCertificateRequest);

/// Tokens that are forged, stolen or worn.
async fn tokens(intruder: &Intruder, api: &ApiServer) -> Vec<Attempt> {
    let audience = intruder.mesh.audience();
    let shop = &intruder.shop;
    let elsewhere = "https://kubernetes.default.svc";
    let foreign = api.pod_token(shop, "cart-1", elsewhere).await;
    let deleted = pod(api, shop, "gone-1", &audience).await;
    let delete = ["delete", "pod", "gone-1", "-n", shop];
    let now = ["--grace-period=0", "--force"];
    api.kubectl(&[&delete[..], &now].concat()).await;
    let token = &intruder.token;
    let forged = resigned(token, &own_key(), |claims| {
        claims["kubernetes.io"]["pod"]["name"] = json!("till-1");
    });
    let key = clusters_key(api);
    let expired = resigned(token, &key, |claims| claims["exp"] = json!(1_000_000_000));
    let early = resigned(token, &key, |claims| {
        claims["nbf"] = json!(4_000_000_000_u64);
    });
    let claims = json!({"kubernetes.io": {"pod": {"name": "cart-1"}}});
    let tokens = [
        ("another audience", foreign),
        ("a forged token", forged),
        ("an expired token", expired),
        ("a token of tomorrow", early),
        ("a deleted pod", deleted),
        ("claims alone", claims.to_string()),
        ("half a token", token[..token.len() / 2].to_owned()),
        ("a huge token", "x".repeat(200_000)),
        ("no token", String::new()),
    ];
    let asked = tokens.map(|(what, token)| (what, intruder.with(|request| request.token = token)));
    asked.into()
}

/// Requests for what is others', and what is no request.
fn requests(intruder: &Intruder) -> Vec<Attempt> {
    let system = intruder.mesh.namespace();
    let identity = |namespace: &str, id: &str| {
        intruder.with(|request| {
            request.id = id.to_owned();
            request.namespace = namespace.to_owned();
        })
    };
    let csr = |csr: &[u8]| {
        intruder.with(|request| request.certificate_signing_request = csr.to_vec().into())
    };
    let shop = &intruder.shop;
    let line = "cart\nlevel=info msg=\"certificate issued\"";
    let key = b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    let good = intruder.request().certificate_signing_request;
    vec![
        ("another app", identity(shop, "till")),
        ("a path", identity(shop, "../dapr-system/dapr-operator")),
        ("a line", identity(shop, line)),
        ("the control plane", identity(system, "dapr-operator")),
        ("sentry itself", identity(system, "dapr-sentry")),
        ("another namespace", identity("default", "cart")),
        ("half a request", csr(&good[..good.len() / 2])),
        ("a huge request", csr(&[b'A'; 200_000])),
        ("a private key", csr(key)),
        ("no validator", intruder.with(|r| r.token_validator = 1)),
    ]
}

#[tokio::test]
async fn nothing_is_granted_to_who_forges_steals_or_floods() {
    let api = ApiServer::shared().await;
    let intruder = Intruder::start(api).await;
    let before = intruder.granted().await;
    let mut attempts = tokens(&intruder, api).await;
    attempts.extend(requests(&intruder));
    for (what, request) in attempts {
        let refused = intruder.caller.sign(request).await;
        assert!(refused.is_err(), "{what} was granted");
    }
    assert_eq!(intruder.granted().await, before);
    let log = intruder.mesh.sentry.log().text();
    assert!(!log.contains(&intruder.token), "tokens are not logged");
    let injected = |line: &&str| line.starts_with("level=info msg=");
    assert_eq!(
        log.lines().filter(injected).count(),
        0,
        "no line of a caller's making"
    );
    // Who asks for what is theirs still gets it.
    intruder.caller.sign(intruder.request()).await.unwrap();
}

#[tokio::test]
async fn a_request_cannot_smuggle_names_or_rights_into_its_certificate() {
    let api = ApiServer::shared().await;
    let intruder = Intruder::start(api).await;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params =
        rcgen::CertificateParams::new(vec!["dapr-webhook.dapr-system.svc".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let uri = "spiffe://cluster.local/ns/dapr-system/dapr-operator"
        .try_into()
        .unwrap();
    params.subject_alt_names.push(rcgen::SanType::URI(uri));
    // The writer of requests takes no CA bit: an extension by hand does.
    params.is_ca = rcgen::IsCa::NoCa;
    let basic =
        rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 19], vec![0x30, 3, 1, 1, 0xff]);
    params.custom_extensions.push(basic);
    let csr = params.serialize_request(&key).unwrap();
    let asked = intruder.with(|request| {
        request.certificate_signing_request = pem::encode("CERTIFICATE REQUEST", csr.der()).into();
    });
    let response = intruder.caller.sign(asked).await.unwrap();
    let chain = pem::certificates(&response.workload_certificate).unwrap();
    let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    let expected = format!("spiffe://public/ns/{}/cart", intruder.shop);
    assert_eq!(names.value.general_names, [GeneralName::URI(&expected)]);
    assert!(!leaf.is_ca() && leaf.basic_constraints().unwrap().is_none());
    assert!(!leaf.key_usage().unwrap().unwrap().value.key_cert_sign());
}

#[tokio::test]
async fn connections_that_say_nothing_or_nonsense_take_no_turn_from_others() {
    let api = ApiServer::shared().await;
    let intruder = Intruder::start(api).await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(intruder.caller.sentry).await.unwrap());
    }
    let mut nonsense = TcpStream::connect(intruder.caller.sentry).await.unwrap();
    nonsense.write_all(&[0xff; 4096]).await.unwrap();
    let mut answer = Vec::new();
    // Ended by an alert or a reset.
    let ended = nonsense.read_to_end(&mut answer).await;
    assert!(answer.len() < 64, "{ended:?}");
    intruder.caller.sign(intruder.request()).await.unwrap();
    assert!(intruder.mesh.sentry.is_healthy().await);
    drop(silent);
}
