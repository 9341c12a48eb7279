use std::time::SystemTime;

use http::StatusCode;
use serde_json::{Value, json};
use trilby_components::middleware::HttpMiddleware;

use crate::{
    provider::{Provider, Signer},
    support::{call, create, get, refused, status_and_text},
};

/// Claims that are good, `seconds` before their end.
fn claims(provider: &Provider, seconds: i64) -> Value {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = i64::try_from(now.unwrap().as_secs()).unwrap();
    json!({ "iss": provider.url(), "aud": "me", "exp": now + seconds, "nbf": now + seconds - 600 })
}

/// With another value of one claim; `null` takes it away.
fn with(mut claims: Value, name: &str, value: Value) -> Value {
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

async fn admits(bearer: &dyn HttpMiddleware, header: &str) -> bool {
    let response = call(bearer, get("/", &[("authorization", header)])).await;
    match status_and_text(response).await {
        (StatusCode::OK, _) => true,
        (StatusCode::UNAUTHORIZED, text) if text == "Unauthorized" => false,
        other => panic!("unexpected: {other:?}"),
    }
}

async fn bearer(provider: &Provider) -> std::sync::Arc<dyn HttpMiddleware> {
    let metadata = [("issuerURL", provider.url()), ("clientID", "me")];
    create("bearer", &metadata).await.unwrap()
}

#[tokio::test]
async fn a_good_token_is_admitted() {
    let signer = Signer::new("one");
    let provider = Provider::start(&[&signer]).await;
    let bearer = bearer(&provider).await;
    let good = claims(&provider, 600);
    for claims in [
        good.clone(),
        with(good.clone(), "aud", json!(["other", "me"])),
        with(good.clone(), "exp", Value::Null),
        claims(&provider, -240),
        claims(&provider, 840),
    ] {
        let token = signer.sign(&claims);
        assert!(
            admits(&*bearer, &format!("Bearer {token}")).await,
            "{claims}"
        );
        assert!(admits(&*bearer, &format!("bEARER {token}")).await);
    }
}

#[tokio::test]
async fn any_other_request_is_unauthorised() {
    let (signer, forger) = (Signer::new("one"), Signer::new("one"));
    let provider = Provider::start(&[&signer]).await;
    let bearer = bearer(&provider).await;
    let good = claims(&provider, 600);
    let token = signer.sign(&good);
    for header in [
        String::new(),
        token.clone(),
        format!("Basic {token}"),
        "Bearer ".to_owned(),
        "Bearer short".to_owned(),
        format!("Bearer {token}x"),
        format!("Bearer {}", forger.sign(&good)),
        format!("Bearer {}", signer.sign_without_id(&good)),
        // {"alg":"none"}
        format!(
            "Bearer eyJhbGciOiJub25lIn0.{}.",
            token.split('.').nth(1).unwrap()
        ),
    ] {
        assert!(!admits(&*bearer, &header).await, "{header}");
    }
    for claims in [
        with(good.clone(), "aud", json!("you")),
        with(good.clone(), "aud", Value::Null),
        with(good.clone(), "iss", json!("http://elsewhere")),
        with(good.clone(), "iss", Value::Null),
        claims(&provider, -360),
        claims(&provider, 1200),
    ] {
        let header = format!("Bearer {}", signer.sign(&claims));
        assert!(!admits(&*bearer, &header).await, "{claims}");
    }
    let response = call(&*bearer, get("/", &[])).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

/// Upstream does not look again before ten minutes have passed.
#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let provider = Provider::start(&[&old]).await;
    let bearer = bearer(&provider).await;
    provider.rotate(&[&new]);
    let claims = claims(&provider, 600);
    let header = |signer: &Signer| format!("Bearer {}", signer.sign(&claims));
    assert!(
        admits(&*bearer, &header(&old)).await,
        "known keys need no look"
    );
    assert!(admits(&*bearer, &header(&new)).await);
    assert!(!admits(&*bearer, &header(&old)).await);
}

#[tokio::test]
async fn keys_may_be_named_directly() {
    let signer = Signer::new("one");
    let provider = Provider::start(&[&signer]).await;
    let jwks = format!("{}/jwks", provider.url());
    let metadata = [
        ("issuer", "urn:them"),
        ("audience", "me"),
        ("jwksURL", jwks.as_str()),
    ];
    let bearer = create("bearer", &metadata).await.unwrap();
    let token = signer.sign(&with(claims(&provider, 600), "iss", json!("urn:them")));
    assert!(admits(&*bearer, &format!("Bearer {token}")).await);
}

#[tokio::test]
async fn an_issuer_that_is_another_is_refused_for_good() {
    let provider = Provider::start(&[]).await;
    let metadata = [("issuer", provider.url()), ("audience", "me")];
    for (document, part) in [
        (
            json!({ "issuer": "http://other", "jwks_uri": "http://other" }),
            "doesn't match",
        ),
        (json!({ "issuer": provider.url() }), "'jwks_uri'"),
    ] {
        provider.describe_as(document);
        let error = refused("bearer", &metadata).await;
        assert!(error.to_string().contains(part), "{error}");
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_is_tried_again() {
    let provider = Provider::start(&[]).await;
    let missing = format!("{}/missing", provider.url());
    for metadata in [
        [("issuer", missing.as_str()), ("audience", "me")].as_slice(),
        &[
            ("issuer", "x"),
            ("audience", "me"),
            ("jwksURL", missing.as_str()),
        ],
    ] {
        let error = refused("bearer", metadata).await;
        assert!(error.is_transient(), "{error}");
        assert!(error.to_string().contains("404"), "{error}");
    }
    let error = refused("bearer", &[("issuer", "x")]).await;
    assert!(error.to_string().contains("audience"), "{error}");
}
