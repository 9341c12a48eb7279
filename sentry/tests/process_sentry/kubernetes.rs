//! Who gets a certificate in a cluster, and who does not, and what they are told.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, dangerous::insecure_decode};
use serde_json::{Value, json};
use tonic::Code;
use trilby_proto::sentry::v1::sign_certificate_request::TokenValidator;
use trilby_testkit::{ApiServer, mesh::Mesh};

use crate::caller::{Caller, identity, openssl_verify, request};

/// A running sentry and a namespace with an app's pod in it.
struct World {
    api: &'static ApiServer,
    mesh: Mesh,
    caller: Caller,
    shop: String,
}

impl World {
    async fn start() -> Self {
        let api = ApiServer::shared().await;
        let mesh = Mesh::start(api).await;
        let caller = Caller {
            sentry: mesh.sentry.grpc_address(),
            sentry_id: mesh.audience().parse().unwrap(),
            anchors: mesh.anchors().to_owned(),
        };
        let shop = api.namespace("shop").await;
        Self {
            api,
            mesh,
            caller,
            shop,
        }
    }

    async fn pod(&self, namespace: &str, name: &str, annotations: Value) {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
            "spec": {"containers": [{"name": "app", "image": "example.org/app:1"}]},
        });
        self.api.apply(&pod.to_string()).await;
    }

    async fn token(&self, pod: &str) -> String {
        let audience = self.mesh.audience();
        self.api.pod_token(&self.shop, pod, &audience).await
    }

    /// A pod of the app `cart`, and its token.
    async fn cart(&self) -> String {
        let annotations = json!({"dapr.io/app-id": "cart"});
        self.pod(&self.shop, "cart-1", annotations).await;
        self.token("cart-1").await
    }

    /// Asks with `token` for the identity `id` in the shop; gives the text of the refusal.
    async fn denied(&self, id: &str, token: &str) -> String {
        let (code, text) = self.caller.refusal(request(&self.shop, id, token)).await;
        assert_eq!(code, Code::PermissionDenied, "{text}");
        text
    }
}

#[tokio::test]
async fn a_pod_gets_the_identity_that_its_annotations_name() {
    let world = World::start().await;
    let shop = &world.shop;
    world
        .pod(shop, "cart-1", json!({"dapr.io/app-id": "cart"}))
        .await;
    let token = world.token("cart-1").await;
    let mut asked = request(shop, "cart", &token);
    asked.trust_domain = "ignored".to_owned();
    asked.token_validator = TokenValidator::Kubernetes.into();
    asked.jwt_audiences = vec!["somebody".to_owned()];
    let response = world.caller.sign(asked).await.unwrap();
    assert_eq!(
        identity(&response),
        format!("spiffe://public/ns/{shop}/cart")
    );
    openssl_verify(&response);
    assert_eq!(
        String::from_utf8(response.trust_chain_certificates.concat()).unwrap(),
        world.mesh.anchors()
    );
    assert_eq!(response.jwt, None);
    assert!(response.per_audience_jwts.is_empty());
    assert!(response.valid_until.is_some());

    world.pod(shop, "bare", json!({})).await;
    let token = world.token("bare").await;
    let response = world
        .caller
        .sign(request(shop, "bare", &token))
        .await
        .unwrap();
    assert_eq!(
        identity(&response),
        format!("spiffe://public/ns/{shop}/bare")
    );

    let metrics = world.mesh.sentry.metrics().await;
    for line in [
        "dapr_sentry_cert_sign_request_received_total 2",
        "dapr_sentry_cert_sign_success_total 2",
        "dapr_sentry_issuercert_expiry_timestamp ",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    let log = world.mesh.sentry.log();
    let line = log.wait_for("certificate issued").await;
    assert!(
        line.contains(&format!("spiffe://public/ns/{shop}/cart")),
        "{line}"
    );
    assert!(!log.text().contains(&token), "tokens are not logged");
}

#[tokio::test]
async fn the_trust_domain_comes_from_the_configuration_of_the_pod() {
    let world = World::start().await;
    let shop = &world.shop;
    let configuration = json!({
        "apiVersion": "dapr.io/v1alpha1", "kind": "Configuration",
        "metadata": {"name": "strict", "namespace": shop},
        "spec": {"accessControl": {"trustDomain": "shop.example"}},
    });
    world.api.apply(&configuration.to_string()).await;
    let annotations = |name: &str| json!({"dapr.io/app-id": "cart", "dapr.io/config": name});
    world.pod(shop, "cart-1", annotations("strict")).await;
    let token = world.token("cart-1").await;
    let response = world
        .caller
        .sign(request(shop, "cart", &token))
        .await
        .unwrap();
    assert_eq!(
        identity(&response),
        format!("spiffe://shop.example/ns/{shop}/cart")
    );

    world.pod(shop, "cart-2", annotations("missing")).await;
    let token = world.token("cart-2").await;
    let text = world.denied("cart", &token).await;
    assert_eq!(text, "failed to get configuration");
}

#[tokio::test]
async fn a_service_of_the_control_plane_gets_its_names() {
    let world = World::start().await;
    let system = world.mesh.namespace();
    world
        .pod(
            system,
            "operator-1",
            json!({"dapr.io/control-plane": "operator"}),
        )
        .await;
    let audience = world.mesh.audience();
    let token = world.api.pod_token(system, "operator-1", &audience).await;
    let asked = request(system, "dapr-operator", &token);
    let response = world.caller.sign(asked).await.unwrap();
    assert_eq!(
        identity(&response),
        format!("spiffe://cluster.local/ns/{system}/dapr-operator")
    );
    let name = format!("dapr-webhook.{system}.svc");
    let chain = trilby_identity::pem::certificates(&response.workload_certificate).unwrap();
    let leaf = String::from_utf8_lossy(&chain[0]).into_owned();
    assert!(leaf.contains(&name));
    assert!(leaf.contains(r#"{"role":"app","containerName":"app","image":"example.org/app:1"}"#));

    world
        .pod(
            &world.shop,
            "mole",
            json!({"dapr.io/control-plane": "operator"}),
        )
        .await;
    let token = world.token("mole").await;
    assert_eq!(
        world.denied("dapr-operator", &token).await,
        format!(
            "control plane service in namespace '{}' is not allowed",
            world.shop
        )
    );
}

#[tokio::test]
async fn nobody_gets_another_ones_identity() {
    let world = World::start().await;
    let shop = &world.shop;
    world
        .pod(shop, "cart-1", json!({"dapr.io/app-id": "cart"}))
        .await;
    let token = world.token("cart-1").await;
    assert_eq!(
        world.denied("till", &token).await,
        "app-id mismatch. expected: cart, received: till"
    );
    let elsewhere = request("elsewhere", "cart", &token);
    assert_eq!(
        world.caller.refusal(elsewhere).await,
        (
            Code::PermissionDenied,
            "namespace mismatch; received namespace: elsewhere".to_owned()
        )
    );
    let line = world
        .mesh
        .sentry
        .log()
        .wait_for("certificate refused")
        .await;
    assert!(line.contains("app-id mismatch"), "{line}");
    let metrics = world.mesh.sentry.metrics().await;
    let line = r#"dapr_sentry_cert_sign_failure_total{reason="sign"} 2"#;
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn a_token_for_somebody_else_is_not_believed() {
    let world = World::start().await;
    let shop = &world.shop;
    world.cart().await;
    let foreign = world.api.pod_token(shop, "cart-1", "somebody-else").await;
    let text = world.denied("cart", &foreign).await;
    assert!(text.starts_with("invalid token: "), "{text}");
    let legacy = world.api.pod_token(shop, "cart-1", "dapr.io/sentry").await;
    let asked = request(shop, "cart", &legacy);
    world.caller.sign(asked).await.unwrap();
}

#[tokio::test]
async fn an_expired_token_is_not_believed() {
    let world = World::start().await;
    let token = world.cart().await;
    let expired = resign(world.api, &token, |claims| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = now.as_secs();
        claims["iat"] = json!(now - 7200);
        claims["nbf"] = json!(now - 7200);
        claims["exp"] = json!(now - 3600);
    });
    let text = world.denied("cart", &expired).await;
    assert!(text.starts_with("invalid token: "), "{text}");
    assert!(text.contains("expired"), "{text}");
}

#[tokio::test]
async fn a_token_must_be_one_and_be_bound_to_a_pod() {
    let world = World::start().await;
    let audience = world.mesh.audience();
    let unbound = world.api.token(&world.shop, "default", &audience).await;
    assert_eq!(
        world.denied("cart", &unbound).await,
        "kubernetes.io/pod/name claim is missing from Kubernetes token"
    );
    let known = [
        "token review failed: ",
        "invalid token: ",
        "authentication failed",
    ];
    for nonsense in ["", "nonsense", "a.b.c"] {
        let text = world.denied("cart", nonsense).await;
        assert!(known.iter().any(|known| text.starts_with(known)), "{text}");
    }
}

#[tokio::test]
async fn the_token_of_a_deleted_pod_is_not_believed() {
    let world = World::start().await;
    let shop = &world.shop;
    let token = world.cart().await;
    let asked = || request(shop, "cart", &token);
    world.caller.sign(asked()).await.unwrap();
    let pod = ["delete", "pod", "cart-1", "-n", shop];
    let now = ["--grace-period=0", "--force"];
    world.api.kubectl(&[&pod[..], &now].concat()).await;
    // The API server remembers its verdict on a token for some seconds; the pod is missed at once.
    let text = world.denied("cart", &token).await;
    let missed = text == "failed to get pod of identity" || text.starts_with("invalid token: ");
    assert!(missed, "{text}");
}

#[tokio::test]
async fn requests_that_cannot_be_served_are_refused_in_upstreams_words() {
    let world = World::start().await;
    let shop = &world.shop;
    world
        .pod(shop, "cart-1", json!({"dapr.io/app-id": "cart"}))
        .await;
    let token = world.token("cart-1").await;
    for validator in [
        TokenValidator::Insecure as i32,
        TokenValidator::Jwks as i32,
        17,
    ] {
        let mut asked = request(shop, "cart", &token);
        asked.token_validator = validator;
        assert_eq!(
            world.caller.refusal(asked).await,
            (
                Code::InvalidArgument,
                "the requested validator is not enabled".to_owned()
            )
        );
    }
    let mut asked = request(shop, "cart", &token);
    asked.certificate_signing_request = "nonsense".into();
    assert_eq!(
        world.caller.refusal(asked).await,
        (
            Code::InvalidArgument,
            "invalid certificate signing request".to_owned()
        )
    );
    let mut asked = request(shop, "", &token);
    asked.certificate_signing_request = "".into();
    assert_eq!(
        world.caller.refusal(asked).await,
        (
            Code::PermissionDenied,
            "invalid request: parameter app-id cannot be empty\nCSR is required".to_owned()
        )
    );
    let mut asked = request(shop, "cart", &token);
    asked.certificate_signing_request = vec![b'x'; 1024 * 1024].into();
    let (code, _) = world.caller.refusal(asked).await;
    assert!(
        matches!(code, Code::OutOfRange | Code::ResourceExhausted),
        "{code:?}"
    );
}

/// The same token with other claims, signed with the cluster's own key.
fn resign(api: &ApiServer, token: &str, change: impl FnOnce(&mut Value)) -> String {
    let key = api.ca_file().with_file_name("sa.key");
    let key = EncodingKey::from_ec_pem(&std::fs::read(key).unwrap()).unwrap();
    let decoded = insecure_decode::<Value>(token).unwrap();
    let mut header = Header::new(Algorithm::ES256);
    header.kid = decoded.header.kid;
    let mut claims = decoded.claims;
    change(&mut claims);
    jsonwebtoken::encode(&header, &claims, &key).unwrap()
}
