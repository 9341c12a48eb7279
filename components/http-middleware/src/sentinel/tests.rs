use std::time::Duration;

use http::{Request, Response, StatusCode};
use tokio::time::Instant;
use trilby_components::middleware::{Body, HttpMiddleware, Next, empty};

use crate::testing::{answer, created, get, refused};

async fn status(sentinel: &dyn HttpMiddleware, path: &str) -> StatusCode {
    answer(sentinel, get(path)).await.0
}

/// A request whose answer takes `time`.
async fn slowly(sentinel: &dyn HttpMiddleware, time: Duration) -> Response<Body> {
    let end = |_: Request<Body>| async move {
        tokio::time::sleep(time).await;
        Response::new(empty())
    };
    sentinel.handle(get("/x"), Next::new(&[], end)).await
}

#[tokio::test(start_paused = true)]
async fn a_flow_rule_refuses_what_is_too_much() {
    let rules = r#"[{"resource":"GET:/x","threshold":2,"statIntervalInMs":1000}]"#;
    let sentinel = created("sentinel", &[("appName", "a"), ("flowRules", rules)]).await;
    for expected in [
        StatusCode::OK,
        StatusCode::OK,
        StatusCode::TOO_MANY_REQUESTS,
    ] {
        assert_eq!(status(&*sentinel, "/x").await, expected);
    }
    assert_eq!(status(&*sentinel, "/y").await, StatusCode::OK);
    let (_, text) = answer(&*sentinel, get("/x")).await;
    assert_eq!(text, "Too Many Requests");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(status(&*sentinel, "/x").await, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_queueing_rule_spreads_requests() {
    let rules =
        r#"[{"resource":"GET:/x","threshold":10,"controlBehavior":1,"maxQueueingTimeMs":500}]"#;
    let sentinel = created("sentinel", &[("flowRules", rules)]).await;
    let start = Instant::now();
    for _ in 0..4 {
        assert_eq!(status(&*sentinel, "/x").await, StatusCode::OK);
    }
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test(start_paused = true)]
async fn a_rule_may_count_another_resource() {
    let rules =
        r#"[{"resource":"GET:/x","threshold":1,"relationStrategy":1,"refResource":"GET:/y"}]"#;
    let sentinel = created("sentinel", &[("flowRules", rules)]).await;
    assert_eq!(status(&*sentinel, "/x").await, StatusCode::OK);
    assert_eq!(status(&*sentinel, "/x").await, StatusCode::OK);
    assert_eq!(status(&*sentinel, "/y").await, StatusCode::OK);
    assert_eq!(
        status(&*sentinel, "/x").await,
        StatusCode::TOO_MANY_REQUESTS
    );
}

#[tokio::test(start_paused = true)]
async fn an_isolation_rule_counts_until_the_body_ends() {
    let rules = r#"[{"resource":"GET:/x","threshold":1}]"#;
    let sentinel = created("sentinel", &[("isolationRules", rules)]).await;
    let first = slowly(&*sentinel, Duration::ZERO).await;
    assert_eq!(first.status(), StatusCode::OK);
    let second = slowly(&*sentinel, Duration::ZERO).await;
    assert_eq!(second.status(), StatusCode::TOO_MANY_REQUESTS);
    drop(first);
    let third = slowly(&*sentinel, Duration::ZERO).await;
    assert_eq!(third.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_slow_resource_rests() {
    let rules = r#"[{"resource":"GET:/x","strategy":0,"retryTimeoutMs":3000,"minRequestAmount":2,
        "statIntervalMs":10000,"maxAllowedRtMs":20,"threshold":0.5}]"#;
    let sentinel = created("sentinel", &[("circuitBreakerRules", rules)]).await;
    for _ in 0..2 {
        slowly(&*sentinel, Duration::from_millis(100)).await;
    }
    assert_eq!(
        status(&*sentinel, "/x").await,
        StatusCode::TOO_MANY_REQUESTS
    );
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(status(&*sentinel, "/x").await, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_system_rule_concerns_every_resource() {
    let rules = r#"[{"metricType":3,"triggerCount":1}]"#;
    let sentinel = created("sentinel", &[("systemRules", rules)]).await;
    assert_eq!(status(&*sentinel, "/x").await, StatusCode::OK);
    assert_eq!(
        status(&*sentinel, "/y").await,
        StatusCode::TOO_MANY_REQUESTS
    );
}

#[tokio::test(start_paused = true)]
async fn rules_that_cannot_apply_are_left_out() {
    let metadata = [
        (
            "flowRules",
            r#"[{"resource":"","threshold":0},{"resource":"GET:/x","threshold":-1}]"#,
        ),
        (
            "isolationRules",
            r#"[{"resource":"GET:/x","maxConcurrency":10}]"#,
        ),
        (
            "circuitBreakerRules",
            r#"[{"resource":"GET:/x","strategy":2,"threshold":0}]"#,
        ),
        (
            "hotSpotParamRules",
            r#"[{"resource":"GET:/x","paramIdx":0,"threshold":0}]"#,
        ),
    ];
    let sentinel = created("sentinel", &metadata).await;
    assert_eq!(status(&*sentinel, "/x").await, StatusCode::OK);
}

#[tokio::test]
async fn what_is_no_rule_is_refused() {
    for (name, text) in [
        ("flowRules", "{}"),
        (
            "flowRules",
            r#"[{"resource":"GET:/x","tokenCalculateStrategy":2}]"#,
        ),
        ("circuitBreakerRules", "x"),
        ("hotSpotParamRules", "x"),
        ("isolationRules", "[1]"),
        ("systemRules", "x"),
    ] {
        let error = refused("sentinel", &[(name, text)]).await;
        assert!(error.contains("fail to load sentinel"), "{error}");
    }
}
