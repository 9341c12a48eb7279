use crate::testing::{answer, created, get, refused};

async fn rewritten(metadata: &[(&str, &str)], path: &str) -> String {
    let alias = created("routeralias", metadata).await;
    answer(&*alias, get(path)).await.1
}

const ROUTES: &str = r#"{
    "/v1.0/mall/activity/info": "/v1.0/invoke/srv.default/method/mall/activity/info",
    "/v1.0/hello/{activity}/{id:[0-9]+}": "/v1.0/invoke/srv.default/method/hello",
    "/v1.0/hello/there/7": "/there"
}"#;

#[tokio::test]
async fn paths_are_replaced_and_queries_kept() {
    let routes = [("routes", ROUTES)];
    for (path, expected) in [
        (
            "/v1.0/mall/activity/info?id=1",
            "/v1.0/invoke/srv.default/method/mall/activity/info?id=1",
        ),
        ("/v1.0/mall", "/v1.0/mall"),
        ("/v1.0/mall/activity/info/", "/v1.0/mall/activity/info/"),
        ("/v1.0/hello/there/7", "/there"),
    ] {
        assert_eq!(rewritten(&routes, path).await, expected);
    }
}

#[tokio::test]
async fn variables_become_parameters() {
    let routes = [("routes", ROUTES)];
    assert_eq!(
        rewritten(&routes, "/v1.0/hello/a%20b/12?z=1&b=%26").await,
        "/v1.0/invoke/srv.default/method/hello?activity=a+b&b=%26&id=12&z=1"
    );
    let other = "/v1.0/hello/dance/twelve";
    assert_eq!(rewritten(&routes, other).await, other);
}

#[tokio::test]
async fn routes_may_be_yaml_or_properties() {
    assert_eq!(rewritten(&[("routes", "/a: /b\n/c: /d")], "/c").await, "/d");
    assert_eq!(rewritten(&[("/a", "/b"), ("/c", "/d")], "/a").await, "/b");
    assert_eq!(rewritten(&[("/a", "/b")], "/a?x=1").await, "/b?x=1");
    assert_eq!(rewritten(&[], "/a").await, "/a");
}

#[tokio::test]
async fn what_cannot_match_is_refused() {
    for (metadata, part) in [
        ([("routes", "[1]")], "failed to decode 'routes' property"),
        ([("routes", r#"{"a":"/b"}"#)], "has to start with a slash"),
        ([("routes", r#"{"/{a":"/b"}"#)], "braces"),
        ([("routes", r#"{"/{a:[}":"/b"}"#)], "/{a:[}"),
        ([("/a", "")], "must not be empty"),
    ] {
        let error = refused("routeralias", &metadata).await;
        assert!(error.contains(part), "{error}");
    }
}

/// Upstream compiles into the router of the first instance, which the next one replaces.
#[tokio::test]
async fn instances_share_no_routes() {
    let first = created("routeralias", &[("routes", r#"{"/a":"/first"}"#)]).await;
    let second = created("routeralias", &[("routes", r#"{"/b":"/second"}"#)]).await;
    assert_eq!(answer(&*first, get("/a")).await.1, "/first");
    assert_eq!(answer(&*second, get("/a")).await.1, "/a");
}
