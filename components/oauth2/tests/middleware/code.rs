use std::sync::Arc;

use http::{
    Response, StatusCode,
    header::{LOCATION, SET_COOKIE},
};
use trilby_components::middleware::{Body, HttpMiddleware};

use crate::{
    provider::{Endpoint, Provider},
    support::{call, create, get, refused, status_and_text},
};

async fn flow(provider: &Provider, more: &[(&str, &str)]) -> Arc<dyn HttpMiddleware> {
    let url = provider.token_url();
    let mut metadata = vec![
        ("clientID", "me"),
        ("clientSecret", "s e:c"),
        ("authURL", "https://login.example/authorize?tenant=1"),
        ("tokenURL", &url),
        ("scopes", "a,b"),
        ("redirectURL", "http://app/callback"),
    ];
    metadata.extend(more);
    create("oauth2", &metadata).await.unwrap()
}

fn location(response: &Response<Body>) -> &str {
    assert_eq!(response.status(), StatusCode::FOUND);
    response.headers()[LOCATION].to_str().unwrap()
}

/// What a browser sends back.
fn cookie(response: &Response<Body>) -> String {
    let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

fn param(url: &str, name: &str) -> String {
    let (_, query) = url.split_once('?').unwrap();
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let found = pairs.find(|(key, _)| key == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {url}"))
        .1
        .into_owned()
}

/// From a first request to the answer of the callback.
async fn log_in(flow: &dyn HttpMiddleware, path: &str) -> Response<Body> {
    let first = call(flow, get(path, &[("host", "shop.example")])).await;
    let state = param(location(&first), "state");
    let callback = format!("/callback?state={state}&code=c");
    call(flow, get(&callback, &[("cookie", &cookie(&first))])).await
}

#[tokio::test]
async fn a_browser_is_sent_to_the_provider() {
    let provider = Provider::start(&[]).await;
    let flow = flow(&provider, &[]).await;
    let response = call(&*flow, get("/x?y=1", &[])).await;
    let to = location(&response);
    assert!(
        to.starts_with("https://login.example/authorize?tenant=1&"),
        "{to}"
    );
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "me"),
        ("redirect_uri", "http://app/callback"),
        ("scope", "a b"),
        ("access_type", "offline"),
    ] {
        assert_eq!(param(to, name), value);
    }
    let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
    assert!(
        cookie.starts_with("gosessionsid=") && cookie.contains("HttpOnly"),
        "{cookie}"
    );
}

#[tokio::test]
async fn a_login_brings_the_browser_back_with_a_token() {
    let provider = Provider::start(&[]).await;
    let flow = flow(&provider, &[]).await;
    let back = log_in(&*flow, "/x?y=1").await;
    assert_eq!(location(&back), "/x?y=1");
    assert_eq!(provider.last("code"), "c");
    assert_eq!(provider.last("redirect_uri"), "http://app/callback");
    let headers = [
        ("cookie", cookie(&back)),
        ("authorization", "forged".to_owned()),
    ];
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let response = call(&*flow, get("/x?y=1", &headers)).await;
    let tokens: Vec<_> = response.headers().get_all("authorization").iter().collect();
    assert_eq!(tokens, ["Bearer t1"]);
}

/// Upstream keeps sessions in the memory of one replica.
#[tokio::test]
async fn another_replica_knows_the_session() {
    let provider = Provider::start(&[]).await;
    let header = [("authHeaderName", "X-User-Token")];
    let (one, other) = (
        flow(&provider, &header).await,
        flow(&provider, &header).await,
    );
    let back = log_in(&*one, "/x").await;
    let response = call(&*other, get("/x", &[("cookie", &cookie(&back))])).await;
    assert_eq!(response.headers()["x-user-token"], "Bearer t1");
}

#[tokio::test]
async fn a_callback_has_to_fit_its_session() {
    let provider = Provider::start(&[]).await;
    let flow = flow(&provider, &[]).await;
    let first = call(&*flow, get("/x", &[])).await;
    let (state, cookie) = (param(location(&first), "state"), cookie(&first));
    for (path, cookie, expected) in [
        (
            "/?state=other&code=c".to_owned(),
            cookie.as_str(),
            "invalid state",
        ),
        (
            format!("/?state={state}&code=c"),
            "gosessionsid=1.forged",
            "invalid state",
        ),
        (
            format!("/?state={state}"),
            cookie.as_str(),
            "code not found",
        ),
    ] {
        let answer = status_and_text(call(&*flow, get(&path, &[("cookie", cookie)])).await).await;
        assert_eq!(
            answer,
            (StatusCode::BAD_REQUEST, expected.to_owned()),
            "{path}"
        );
    }
    assert_eq!(provider.asked(), 0);
}

#[tokio::test]
async fn a_code_that_buys_nothing_is_an_error() {
    let provider = Provider::start(&[]).await;
    provider.behave(Endpoint::Broken, serde_json::Value::Null);
    let answer = log_in(&*flow(&provider, &[]).await, "/x").await;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn the_way_back_stays_on_this_host() {
    let provider = Provider::start(&[]).await;
    let plain = flow(&provider, &[]).await;
    assert_eq!(
        location(&log_in(&*plain, "//evil.example/x").await),
        "/evil.example/x"
    );
    let secure = flow(&provider, &[("forceHTTPS", "true")]).await;
    let back = log_in(&*secure, "/x?y=1").await;
    assert_eq!(location(&back), "https://shop.example/x?y=1");
    assert!(
        back.headers()[SET_COOKIE]
            .to_str()
            .unwrap()
            .contains("Secure")
    );
}

#[tokio::test]
async fn other_paths_pass_untouched() {
    let provider = Provider::start(&[]).await;
    let flow = flow(&provider, &[("pathFilter", "^/secure")]).await;
    let open = call(&*flow, get("/open", &[])).await;
    assert_eq!(open.status(), StatusCode::OK);
    assert_eq!(
        call(&*flow, get("/secure", &[])).await.status(),
        StatusCode::FOUND
    );
}

#[tokio::test]
async fn incomplete_metadata_is_refused() {
    let complete = [
        ("clientID", "me"),
        ("clientSecret", "s"),
        ("authURL", "https://a/"),
        ("tokenURL", "https://b/"),
    ];
    for missing in ["clientID", "clientSecret", "authURL", "tokenURL"] {
        let rest = complete
            .iter()
            .copied()
            .filter(|(name, _)| *name != missing);
        let error = refused("oauth2", &rest.collect::<Vec<_>>()).await;
        assert!(error.to_string().contains(missing), "{error}");
    }
}
