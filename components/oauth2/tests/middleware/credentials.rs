use http::StatusCode;
use serde_json::json;

use crate::{
    provider::{Endpoint, Provider},
    support::{call, create, get, refused, status_and_text},
};

/// Complete metadata, with more at its end.
fn metadata<'a>(url: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut metadata = vec![
        ("clientID", "me"),
        ("clientSecret", "s e:c"),
        ("scopes", "a,b"),
        ("tokenURL", url),
        ("headerName", "X-Token"),
    ];
    metadata.extend(more);
    metadata
}

#[tokio::test]
async fn a_token_is_fetched_once_and_added_to_every_request() {
    let provider = Provider::start(&[]).await;
    let url = provider.token_url();
    let more = [("endpointParamsQuery", "resource=x%20y")];
    let middleware = create("oauth2clientcredentials", &metadata(&url, &more)).await;
    let middleware = middleware.unwrap();
    let request = || get("/", &[("x-token", "forged")]);
    let calls = (0..20).map(|_| call(&*middleware, request()));
    for response in futures_util::future::join_all(calls).await {
        let values: Vec<_> = response.headers().get_all("x-token").iter().collect();
        assert_eq!(values, ["Bearer t1"]);
    }
    assert_eq!(provider.asked(), 1);
    assert_eq!(provider.last("grant_type"), "client_credentials");
    assert_eq!(provider.last("scope"), "a b");
    assert_eq!(provider.last("resource"), "x y");
}

#[tokio::test]
async fn a_token_about_to_end_is_not_used_again() {
    let provider = Provider::start(&[]).await;
    provider.behave(Endpoint::Header, json!("10"));
    let url = provider.token_url();
    let middleware = create("oauth2clientcredentials", &metadata(&url, &[])).await;
    let middleware = middleware.unwrap();
    for expected in ["Bearer t1", "Bearer t2"] {
        let response = call(&*middleware, get("/", &[])).await;
        assert_eq!(response.headers()["x-token"], expected);
    }
}

#[tokio::test]
async fn the_client_proves_itself_as_the_provider_wants() {
    for (endpoint, style, expected) in [
        (Endpoint::Header, "0", Some("Bearer t1")),
        (Endpoint::Params, "0", Some("Bearer t2")),
        (Endpoint::Params, "1", Some("Bearer t1")),
        (Endpoint::Header, "2", Some("Bearer t1")),
        (Endpoint::Params, "2", None),
        (Endpoint::Form, "2", Some("Bearer t1")),
    ] {
        let provider = Provider::start(&[]).await;
        provider.behave(endpoint, json!(3600));
        let url = provider.token_url();
        let metadata = metadata(&url, &[("authStyle", style)]);
        let middleware = create("oauth2clientcredentials", &metadata).await.unwrap();
        let response = call(&*middleware, get("/", &[])).await;
        let token = response.headers().get("x-token");
        assert_eq!(
            token.map(|token| token.to_str().unwrap()),
            expected,
            "{endpoint:?} {style}"
        );
    }
}

/// Upstream answers an empty 200, which looks as if the application had handled the request.
#[tokio::test]
async fn without_a_token_the_request_fails() {
    let provider = Provider::start(&[]).await;
    provider.behave(Endpoint::Broken, json!(3600));
    let url = provider.token_url();
    let middleware = create("oauth2clientcredentials", &metadata(&url, &[])).await;
    let answer = status_and_text(call(&*middleware.unwrap(), get("/", &[])).await).await;
    assert_eq!(
        answer,
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            "Internal Server Error".to_owned()
        )
    );
}

#[tokio::test]
async fn other_paths_pass_untouched() {
    let url = "http://127.0.0.1:1/token";
    let metadata = metadata(url, &[("pathFilter", "^/secure/.*")]);
    let middleware = create("oauth2clientcredentials", &metadata).await.unwrap();
    let response = call(&*middleware, get("/open", &[])).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(!response.headers().contains_key("x-token"));
    let response = call(&*middleware, get("/secure/x", &[])).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn incomplete_metadata_is_refused() {
    let complete = metadata("http://x/", &[]);
    for missing in [
        "clientID",
        "clientSecret",
        "scopes",
        "tokenURL",
        "headerName",
    ] {
        let rest = complete
            .iter()
            .copied()
            .filter(|(name, _)| *name != missing);
        let rest: Vec<_> = rest.collect();
        let error = refused("oauth2clientcredentials", &rest).await;
        assert!(error.to_string().contains(missing), "{error}");
    }
    for (name, value) in [("authStyle", "3"), ("pathFilter", "([")] {
        let metadata = metadata("http://x/", &[(name, value)]);
        let error = refused("oauth2clientcredentials", &metadata).await;
        assert!(error.to_string().contains(name), "{error}");
    }
}
