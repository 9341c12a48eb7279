//! An identity provider on loopback: discovery, keys that can be rotated, a token endpoint that counts.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http::{HeaderMap, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// A signing key.
#[derive(Clone)]
pub(crate) struct Signer {
    id: String,
    key: EncodingKey,
}

impl Signer {
    pub(crate) fn new(id: &str) -> Self {
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        Self {
            id: id.to_owned(),
            key: EncodingKey::from_ec_der(pkcs8.unwrap().as_ref()),
        }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = Header {
            kid: Some(self.id.clone()),
            ..Header::new(Algorithm::ES256)
        };
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }

    /// A token that does not say which key signed it.
    pub(crate) fn sign_without_id(&self, claims: &Value) -> String {
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), claims, &self.key).unwrap()
    }

    fn public(&self) -> Jwk {
        let mut jwk = Jwk::from_encoding_key(&self.key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(self.id.clone());
        jwk
    }
}

/// How the token endpoint behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Takes a client that proves itself in a header.
    Header,
    /// Takes one that proves itself in parameters.
    Params,
    /// Takes nobody.
    Broken,
    /// Answers as a form.
    Form,
}

struct Shared {
    url: String,
    signers: Mutex<Vec<Signer>>,
    discovery: Mutex<Option<Value>>,
    endpoint: Mutex<Endpoint>,
    expires_in: Mutex<Value>,
    asked: AtomicUsize,
    last_form: Mutex<Vec<(String, String)>>,
}

/// The provider; it ends with the test.
pub(crate) struct Provider(Arc<Shared>);

impl Provider {
    pub(crate) async fn start(signers: &[&Signer]) -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            url,
            signers: Mutex::new(signers.iter().copied().cloned().collect()),
            discovery: Mutex::new(None),
            endpoint: Mutex::new(Endpoint::Header),
            expires_in: Mutex::new(json!(3600)),
            asked: AtomicUsize::new(0),
            last_form: Mutex::default(),
        });
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(jwks))
            .route("/token", post(token))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self(shared)
    }

    pub(crate) fn url(&self) -> &str {
        &self.0.url
    }

    pub(crate) fn token_url(&self) -> String {
        format!("{}/token", self.0.url)
    }

    pub(crate) fn rotate(&self, signers: &[&Signer]) {
        *self.0.signers.lock() = signers.iter().copied().cloned().collect();
    }

    pub(crate) fn describe_as(&self, document: Value) {
        *self.0.discovery.lock() = Some(document);
    }

    pub(crate) fn behave(&self, endpoint: Endpoint, expires_in: Value) {
        *self.0.endpoint.lock() = endpoint;
        *self.0.expires_in.lock() = expires_in;
    }

    /// How many tokens it was asked for.
    pub(crate) fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }

    pub(crate) fn last(&self, name: &str) -> String {
        let form = self.0.last_form.lock();
        let found = form.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }
}

async fn discovery(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let url = &shared.url;
    let own = json!({ "issuer": url, "jwks_uri": format!("{url}/jwks") });
    Json(shared.discovery.lock().clone().unwrap_or(own))
}

async fn jwks(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let keys: Vec<Jwk> = shared.signers.lock().iter().map(Signer::public).collect();
    Json(json!({ "keys": keys }))
}

async fn token(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: String) -> Response {
    let number = shared.asked.fetch_add(1, Ordering::SeqCst) + 1;
    let form: Vec<(String, String)> = form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    let in_params = form.contains(&("client_secret".to_owned(), "s e:c".to_owned()));
    *shared.last_form.lock() = form;
    // "me:s+e%3Ac"
    let in_header = headers
        .get("authorization")
        .is_some_and(|value| value == "Basic bWU6cytlJTNBYw==");
    let endpoint = *shared.endpoint.lock();
    let expires_in = shared.expires_in.lock().clone();
    match endpoint {
        Endpoint::Header | Endpoint::Form if !in_header => StatusCode::UNAUTHORIZED.into_response(),
        Endpoint::Params if !in_params => StatusCode::UNAUTHORIZED.into_response(),
        Endpoint::Broken => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Endpoint::Form => (
            [("content-type", "application/x-www-form-urlencoded")],
            format!("access_token=t{number}&token_type=bearer&expires_in=3600"),
        )
            .into_response(),
        _ => Json(json!({
            "access_token": format!("t{number}"), "token_type": "bearer", "expires_in": expires_in,
        }))
        .into_response(),
    }
}
