use std::net::SocketAddr;

use http::{Request, StatusCode};
use trilby_components::middleware::{Body, RemoteAddress};

use crate::testing::{call, created, get, refused, text};

fn from(address: &str, path: &str) -> Request<Body> {
    let mut request = get(path);
    let address: SocketAddr = address.parse().unwrap();
    request.extensions_mut().insert(RemoteAddress(address));
    request
}

fn with(name: &'static str, value: &'static str) -> Request<Body> {
    let mut request = from("10.0.0.1:1", "/");
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

#[tokio::test(start_paused = true)]
async fn one_too_many_is_told_so() {
    let limit = created("ratelimit", &[("maxRequestsPerSecond", "2")]).await;
    let first = call(&*limit, with("x-forwarded-for", "1.1.1.1")).await;
    assert_eq!(first.status(), StatusCode::OK);
    for (name, value) in [
        ("X-Rate-Limit-Limit", "2.00"),
        ("X-Rate-Limit-Duration", "1"),
        ("X-Rate-Limit-Request-Forwarded-For", "1.1.1.1"),
        ("X-Rate-Limit-Request-Remote-Addr", "10.0.0.1:1"),
        ("RateLimit-Limit", "2"),
        ("RateLimit-Reset", "1"),
        ("RateLimit-Remaining", "1"),
    ] {
        assert_eq!(first.headers()[name], value, "{name}");
    }
    call(&*limit, with("x-forwarded-for", "1.1.1.1")).await;
    let third = call(&*limit, with("x-forwarded-for", "1.1.1.1")).await;
    assert_eq!(third.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(third.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(third.headers()["ratelimit-remaining"], "0");
    assert_eq!(text(third).await, "You have reached maximum request limit.");
}

/// Two requests against a limit of one a second: whether they count for the same client.
async fn is_one_client(first: Request<Body>, second: Request<Body>) -> bool {
    let limit = created("ratelimit", &[("maxRequestsPerSecond", "1")]).await;
    assert_eq!(call(&*limit, first).await.status(), StatusCode::OK);
    call(&*limit, second).await.status() == StatusCode::TOO_MANY_REQUESTS
}

#[tokio::test(start_paused = true)]
async fn a_client_is_its_address() {
    let lone = || get("/");
    for (first, second, same) in [
        (from("10.0.0.1:1", "/"), from("10.0.0.1:2", "/"), true),
        (from("10.0.0.1:1", "/"), from("10.0.0.2:1", "/"), false),
        (
            from("[2001:db8::1]:1", "/"),
            from("[2001:db8::ffff:1]:1", "/"),
            true,
        ),
        (
            from("[2001:db8::1]:1", "/"),
            from("[2001:db9::1]:1", "/"),
            false,
        ),
        (
            with("x-forwarded-for", "6.6.6.6, 1.1.1.1"),
            with("x-forwarded-for", "1.1.1.1"),
            true,
        ),
        (
            with("x-forwarded-for", "1.1.1.1"),
            with("x-forwarded-for", "2.2.2.2"),
            false,
        ),
        (
            with("x-real-ip", "1.1.1.1"),
            with("x-real-ip", "2.2.2.2"),
            false,
        ),
        (lone(), lone(), true),
    ] {
        assert_eq!(is_one_client(first, second).await, same);
    }
}

/// Upstream counts each path by itself, and remembers each of them for ten years.
#[tokio::test(start_paused = true)]
async fn other_paths_are_no_way_round() {
    let other = from("10.0.0.1:1", "/other");
    assert!(is_one_client(from("10.0.0.1:1", "/"), other).await);
}

#[tokio::test]
async fn a_rate_is_positive() {
    for rate in ["0", "-1", "NaN", "inf", "many"] {
        let error = refused("ratelimit", &[("maxRequestsPerSecond", rate)]).await;
        assert!(error.contains("maxRequestsPerSecond"), "{error}");
    }
}
