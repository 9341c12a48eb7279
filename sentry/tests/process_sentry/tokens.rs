//! Tokens beside certificates, and the server that publishes the keys which verify them.

use std::{fs, path::Path, process::Command};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde_json::{Value, json};
use trilby_testkit::{ApiServer, http::Client, mesh::Mesh, ports::Port, services::Sentry};

use crate::caller::{Caller, request};

fn sentry(dir: &Path) -> Sentry {
    Sentry::new()
        .arg("--issuer-credentials", dir.display())
        .arg("--trust-domain", "td")
        .raw_arg("--jwt-enabled")
}

fn caller(sentry: &Sentry, dir: &Path) -> Caller {
    Caller {
        sentry: sentry.grpc_address(),
        sentry_id: "spiffe://td/ns/default/dapr-sentry".parse().unwrap(),
        anchors: fs::read_to_string(dir.join("ca.crt")).unwrap(),
    }
}

/// The claims of a token, verified with the key of this set that it names.
fn verified(token: &str, set: &Value, audience: &str) -> Value {
    let set: JwkSet = serde_json::from_value(set.clone()).unwrap();
    let header = decode_header(token).unwrap();
    let key = set
        .find(&header.kid.unwrap())
        .expect("the key is published");
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&[audience]);
    let key = DecodingKey::from_jwk(key).unwrap();
    decode::<Value>(token, &key, &validation).unwrap().claims
}

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

#[tokio::test]
async fn tokens_verify_with_the_stored_and_with_the_served_keys() {
    let (dir, port) = (tempfile::tempdir().unwrap(), Port::free());
    let mut sentry = sentry(dir.path())
        .raw_arg("--oidc-enabled")
        .arg("--oidc-server-tls-enabled", false)
        .arg("--oidc-server-listen-port", port.number())
        .arg("--oidc-path-prefix", "/tenant/")
        .arg("--jwt-ttl", "30m");
    sentry.start().await;
    let mut asked = request("shop", "cart", "");
    asked.jwt_audiences = vec!["a".to_owned(), "b".to_owned()];
    let response = caller(&sentry, dir.path()).sign(asked).await.unwrap();
    let base = response.jwt.unwrap();
    let stored = json(&fs::read(dir.path().join("jwks.json")).unwrap());
    let claims = verified(&base, &stored, "public");
    assert_eq!(claims["aud"], json!(["public", "a", "b"]));
    assert_eq!(claims["sub"], "spiffe://public/ns/shop/cart");
    assert_eq!(
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
        1800
    );
    assert_eq!(claims.get("iss"), None);
    assert_eq!(response.per_audience_jwts.len(), 3);

    let address = format!("http://127.0.0.1:{}/tenant", port.number());
    let get = async |path: &str| {
        Client::host()
            .get(&format!("{address}{path}"))
            .await
            .unwrap()
    };
    let document = get("/.well-known/openid-configuration")
        .await
        .success()
        .unwrap()
        .json();
    let origin = format!("http://127.0.0.1:{}", port.number());
    assert_eq!(document["issuer"], origin);
    assert_eq!(document["jwks_uri"], format!("{address}/jwks.json"));
    let served = get("/jwks.json").await.success().unwrap().json();
    assert_eq!(served, stored);
    let token = &response.per_audience_jwts["b"];
    assert_eq!(verified(token, &served, "b")["aud"], json!(["b"]));
    assert_eq!(get("/ca.key").await.status.as_u16(), 404);
    let log = sentry.log().text();
    assert!(!log.contains(&base) && !log.contains("PRIVATE KEY"));
}

#[tokio::test]
async fn the_key_of_tokens_survives_a_restart_and_without_the_flag_there_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
    let all = || ["ca.crt", "issuer.key", "jwt.key", "jwks.json"].map(read);
    let mut with = sentry(dir.path());
    with.start().await;
    let before = all();
    assert!(with.stop().await.success());
    with.start().await;
    assert_eq!(all(), before);
    assert!(with.stop().await.success());
    let mut without = Sentry::new()
        .arg("--issuer-credentials", dir.path().display())
        .arg("--trust-domain", "td");
    without.start().await;
    let mut asked = request("shop", "cart", "");
    asked.jwt_audiences = vec!["a".to_owned()];
    let response = caller(&without, dir.path()).sign(asked).await.unwrap();
    assert_eq!(response.jwt, None);
    assert!(response.per_audience_jwts.is_empty());
    assert_eq!(all(), before);
}

#[tokio::test]
async fn discovery_over_tls_waits_for_its_certificate_and_takes_a_new_one() {
    let (dir, port) = (tempfile::tempdir().unwrap(), Port::free());
    let path = |name: &str| dir.path().join(name);
    let mut sentry = sentry(dir.path())
        .raw_arg("--oidc-enabled")
        .arg("--oidc-server-listen-port", port.number())
        .arg("--oidc-server-tls-cert-file", path("tls.crt").display())
        .arg("--oidc-server-tls-key-file", path("tls.key").display());
    sentry.launch();
    sentry.log().wait_for("waiting for its certificate").await;
    assert!(!sentry.is_healthy().await);
    let certificate = |name: &str| {
        let done = Command::new("openssl")
            .args([
                "req", "-x509", "-nodes", "-newkey", "ed25519", "-days", "2", "-subj",
            ])
            .arg(format!("/CN={name}"))
            .args([Path::new("-keyout"), &path("tls.key")])
            .args([Path::new("-out"), &path("tls.crt")])
            .output()
            .expect("openssl is installed");
        assert!(done.status.success(), "{done:?}");
    };
    certificate("one");
    sentry.healthy().await;
    let subject = || {
        let peer = format!("localhost:{}", port.number());
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &peer, "-min_protocol", "TLSv1.2"]);
        let done = command.stdin(std::process::Stdio::null()).output();
        String::from_utf8_lossy(&done.expect("openssl is installed").stdout).into_owned()
    };
    assert!(subject().contains("CN = one"), "{}", subject());
    certificate("two");
    sentry
        .log()
        .wait_for("certificate of the OpenID Connect server renewed")
        .await;
    assert!(subject().contains("CN = two"), "{}", subject());
}

#[tokio::test]
async fn keys_of_tokens_that_do_not_fit_end_the_process_at_its_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = sentry(dir.path());
    first.start().await;
    assert!(first.stop().await.success());
    let check = async |content: &str, expected: &str| {
        fs::write(dir.path().join("jwks.json"), content).unwrap();
        let mut sentry = sentry(dir.path());
        sentry.launch();
        assert!(
            !sentry
                .ended(std::time::Duration::from_secs(60))
                .await
                .success()
        );
        let text = sentry.log().text();
        assert!(text.contains(expected), "{text}");
    };
    check("", "jwks.json: it is no JSON Web Key Set").await;
    check("{\"keys\":[]}", "jwks.json: the key set contains no key").await;
    let other =
        r#"{"kty":"OKP","crv":"Ed25519","x":"TNujpwsGDyatTxefyFK8ygd166LvInk9Zp26Bm8G5TE"}"#;
    check(other, "doesn't contain a matching public key").await;
}

#[tokio::test]
async fn replicas_agree_on_one_key_of_tokens_and_publish_its_public_half() {
    let api = ApiServer::shared().await;
    // An authority that knew no tokens yet.
    let mesh = Mesh::start(api).await;
    let namespace = mesh.namespace();
    let mut replicas: Vec<_> = (0..2)
        .map(|_| {
            Sentry::new()
                .kubernetes(api.kubeconfig(), namespace)
                .arg("--trust-domain", trilby_testkit::mesh::TRUST_DOMAIN)
                .raw_arg("--jwt-enabled")
        })
        .collect();
    for replica in &mut replicas {
        replica.launch();
    }
    for replica in &mut replicas {
        replica.healthy().await;
    }
    let bundle = "dapr-trust-bundle";
    let public = api
        .get_json(namespace, &format!("configmap/{bundle}"))
        .await;
    assert_eq!(
        public["data"]["ca.crt"].as_str().unwrap(),
        mesh.anchors(),
        "it stays"
    );
    let set = json(public["data"]["jwks.json"].as_str().unwrap().as_bytes());
    let mut members: Vec<_> = set["keys"][0]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    members.sort_unstable();
    assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);

    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "bare", "namespace": namespace},
        "spec": {"containers": [{"name": "app", "image": "example.org/app:1"}]},
    });
    api.apply(&pod.to_string()).await;
    let token = api.pod_token(namespace, "bare", &mesh.audience()).await;
    for replica in &replicas {
        let caller = Caller {
            sentry: replica.grpc_address(),
            sentry_id: mesh.audience().parse().unwrap(),
            anchors: mesh.anchors().to_owned(),
        };
        let response = caller
            .sign(request(namespace, "bare", &token))
            .await
            .unwrap();
        let token = response.jwt.unwrap();
        assert_eq!(decode_header(&token).unwrap().alg, Algorithm::RS256);
        verified(&token, &set, "public");
    }
}
