use std::sync::Arc;

use http::{Request, Response, StatusCode};
use trilby_components::{
    metadata::Metadata,
    middleware::{Body, HttpMiddleware, Next, collect, empty, full},
    registry::{ComponentContext, CreateError, Instance, Registry},
};

async fn create(metadata: &[(&str, &str)]) -> Result<Arc<dyn HttpMiddleware>, CreateError> {
    let registry = Registry::default().with(crate::backends());
    let metadata = Metadata::new(metadata.iter().copied()).unwrap();
    let context = ComponentContext::default();
    let instance = registry.create("middleware.http.opa", "v1", context, metadata);
    match instance.await? {
        Instance::Middleware(middleware) => Ok(middleware),
        other => panic!("{other:?} is no middleware"),
    }
}

/// The answer to a request of a policy with more metadata. The end answers 200 with the request's body, and with its
/// headers in `x-` ones.
async fn answer(rego: &str, more: &[(&str, &str)], request: Request<Body>) -> Response<Body> {
    let mut metadata = vec![("rego", rego)];
    metadata.extend(more);
    let opa = create(&metadata).await.unwrap();
    let end = |request: Request<Body>| async move {
        let (head, body) = request.into_parts();
        let mut response = Response::new(body);
        *response.headers_mut() = head.headers;
        response
    };
    opa.handle(request, Next::new(&[], end)).await
}

async fn status(rego: &str, request: Request<Body>) -> StatusCode {
    answer(rego, &[], request).await.status()
}

async fn text(response: Response<Body>) -> String {
    let bytes = collect(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn get(uri: &str) -> Request<Body> {
    Request::get(uri).body(empty()).unwrap()
}

#[tokio::test]
async fn a_boolean_decides() {
    let allow = answer("package http\nallow = true", &[], get("/")).await;
    assert_eq!(allow.status(), StatusCode::OK);
    let deny = answer("package http\nallow = false", &[], get("/")).await;
    assert_eq!(deny.status(), StatusCode::FORBIDDEN);
    assert!(!deny.headers().contains_key("x-dapr-opa-error"));
    assert_eq!(text(deny).await, "Forbidden");
    let teapot = [("defaultStatus", "418")];
    let deny = answer("package http\ndefault allow = false", &teapot, get("/")).await;
    assert_eq!(deny.status(), StatusCode::IM_A_TEAPOT);
}

#[tokio::test]
async fn an_object_decides_in_detail() {
    let rego = r#"package http
        allow = { "allow": true, "additional_headers": { "X-User": "me" } }"#;
    let mut request = get("/");
    request
        .headers_mut()
        .insert("x-user", "forged".parse().unwrap());
    let allowed = answer(rego, &[], request).await;
    assert_eq!(allowed.headers()["x-user"], "me");
    let rego = r#"package http
        allow = { "allow": false, "status_code": 301, "additional_headers": { "location": "/in" } }"#;
    let denied = answer(rego, &[], get("/")).await;
    assert_eq!(denied.status(), StatusCode::MOVED_PERMANENTLY);
    assert_eq!(denied.headers()["location"], "/in");
    let nothing = status("package http\nallow = {}", get("/")).await;
    assert_eq!(nothing, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_is_no_answer_is_refused_and_marked() {
    for rego in [
        "package http\nallow = 1",
        "package http\nallow = [true]",
        "package http\nallow { input.request.method == \"BREW\" }",
        "package http\nallow = { \"allow\": \"yes\" }",
        "package http\nallow = { \"allow\": false, \"status_code\": 7 }",
        "package http\nallow = { \"allow\": true, \"additional_headers\": { \"a b\": \"c\" } }",
    ] {
        let response = answer(rego, &[("defaultStatus", "401")], get("/")).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{rego}");
        assert_eq!(response.headers()["x-dapr-opa-error"], "true", "{rego}");
        assert_eq!(text(response).await, "Unauthorized");
    }
}

#[tokio::test]
async fn a_policy_sees_the_request() {
    let rego = r#"package http
        default allow = false
        allow {
            input == { "request": {
                "method": "POST", "path": "/a b/c", "path_parts": ["a b", "c"],
                "raw_query": "x=1&y=%20&x=2", "query": { "x": ["1", "2"], "y": [" "] },
                "headers": { "X-My-Token": "one, two" }, "scheme": "http", "body": "hello"
            } }
        }"#;
    let request = Request::post("http://app/a%20b/c?x=1&y=%20&x=2")
        .header("x-my-token", "one")
        .header("x-my-token", "two")
        .header("other", "hidden")
        .body(full("hello"))
        .unwrap();
    let more = [
        ("includedHeaders", "x-my-token, absent"),
        ("readBody", "true"),
    ];
    let response = answer(rego, &more, request).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        text(response).await,
        "hello",
        "the body still reaches the end"
    );
}

#[tokio::test]
async fn bodies_and_headers_are_hidden_unless_asked_for() {
    let rego = r#"package http
        default allow = false
        allow { input.request.body == ""; input.request.headers == {}; input.request.scheme == "" }"#;
    let mut request = get("/");
    *request.body_mut() = full("hello");
    request.headers_mut().insert("x-a", "b".parse().unwrap());
    assert_eq!(status(rego, request).await, StatusCode::OK);
}

#[tokio::test]
async fn tokens_can_be_read_with_builtins() {
    let rego = r#"package http
        default allow = false
        allow { payload.sub == "me"; regex.match("^/v1", input.request.path) }
        payload = p { p := json.unmarshal(base64url.decode(split(token, ".")[1])) }
        token = t { parts := split(input.request.headers["Authorization"], " "); t := parts[1] }"#;
    let request = Request::get("/v1.0/x")
        .header("authorization", "Bearer e30.eyJzdWIiOiJtZSJ9.x")
        .body(empty())
        .unwrap();
    let more = [("includedHeaders", "authorization")];
    let response = answer(rego, &more, request).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn both_languages_are_understood() {
    let rego = "package http\nimport rego.v1\nallow if { input.request.method == \"GET\" }";
    assert_eq!(status(rego, get("/")).await, StatusCode::OK);
}

/// Upstream takes any number, and panics when it is sent.
#[tokio::test]
async fn what_cannot_work_is_refused_at_the_start() {
    let rego = "package http\nallow = true";
    for (metadata, part) in [
        (vec![], "rego is missing"),
        (vec![("rego", "package http\nallow = {")], "inline.rego"),
        (
            vec![("rego", "package other\nallow = true")],
            "data.http.allow",
        ),
        (
            vec![("rego", rego), ("defaultStatus", "99")],
            "defaultStatus",
        ),
        (
            vec![("rego", rego), ("defaultStatus", "600")],
            "defaultStatus",
        ),
        (
            vec![("rego", rego), ("defaultStatus", "x")],
            "defaultStatus",
        ),
    ] {
        let Err(error) = create(&metadata).await else {
            panic!("{metadata:?} is accepted");
        };
        assert!(error.to_string().contains(part), "{error}");
    }
}
