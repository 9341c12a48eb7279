use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::CONTENT_LENGTH};
use trilby_components::{
    metadata::Metadata,
    middleware::{Body, HttpMiddleware, Next, RemoteAddress, collect, full},
    registry::{ComponentContext, CreateError, Instance, Registry},
};

/// Host functions that a guest may use: module, name and type.
#[rustfmt::skip]
const IMPORTS: &[(&str, &str, &str)] = &[
    ("http_handler", "enable_features", "(param i32) (result i32)"),
    ("http_handler", "get_config", "(param i32 i32) (result i32)"),
    ("http_handler", "log_enabled", "(param i32) (result i32)"),
    ("http_handler", "log", "(param i32 i32 i32)"),
    ("http_handler", "get_method", "(param i32 i32) (result i32)"),
    ("http_handler", "set_method", "(param i32 i32)"),
    ("http_handler", "get_uri", "(param i32 i32) (result i32)"),
    ("http_handler", "set_uri", "(param i32 i32)"),
    ("http_handler", "get_protocol_version", "(param i32 i32) (result i32)"),
    ("http_handler", "get_source_addr", "(param i32 i32) (result i32)"),
    ("http_handler", "get_header_names", "(param i32 i32 i32) (result i64)"),
    ("http_handler", "get_header_values", "(param i32 i32 i32 i32 i32) (result i64)"),
    ("http_handler", "set_header_value", "(param i32 i32 i32 i32 i32)"),
    ("http_handler", "add_header_value", "(param i32 i32 i32 i32 i32)"),
    ("http_handler", "remove_header", "(param i32 i32 i32)"),
    ("http_handler", "read_body", "(param i32 i32 i32) (result i64)"),
    ("http_handler", "write_body", "(param i32 i32 i32)"),
    ("http_handler", "get_status_code", "(result i32)"),
    ("http_handler", "set_status_code", "(param i32)"),
    ("wasi_snapshot_preview1", "clock_time_get", "(param i32 i64 i32) (result i32)"),
    ("wasi_snapshot_preview1", "random_get", "(param i32 i32) (result i32)"),
    ("wasi_snapshot_preview1", "fd_write", "(param i32 i32 i32 i32) (result i32)"),
    ("wasi_snapshot_preview1", "path_open", "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)"),
    ("wasi_snapshot_preview1", "proc_exit", "(param i32)"),
];

/// A guest in text: its functions and data, with every host function that it may use before them.
fn guest(body: &str) -> Vec<u8> {
    let imports: String = IMPORTS
        .iter()
        .map(|(module, name, ty)| format!("(import \"{module}\" \"{name}\" (func ${name} {ty}))\n"))
        .collect();
    let text = format!("(module {imports} (memory (export \"memory\") 1) {body})");
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"))
}

const IGNORES_RESPONSE: &str = "(func (export \"handle_response\") (param i32 i32))";
/// Asks for the next handler, without anything of its own.
const NEXT: &str = "(func (export \"handle_request\") (result i64) (i64.const 1))";

async fn load(
    binary: &[u8],
    more: &[(&str, &str)],
) -> Result<Arc<dyn HttpMiddleware>, CreateError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), binary).unwrap();
    let url = format!("file://{}", file.path().display());
    let mut metadata = vec![("url", url.as_str())];
    metadata.extend(more);
    create(&metadata).await
}

async fn create(metadata: &[(&str, &str)]) -> Result<Arc<dyn HttpMiddleware>, CreateError> {
    let registry = Registry::default().with(crate::backends());
    let metadata = Metadata::new(metadata.iter().copied()).unwrap();
    let context = ComponentContext::default();
    let instance = registry.create("middleware.http.wasm", "v1", context, metadata);
    match instance.await? {
        Instance::Middleware(middleware) => Ok(middleware),
        other => panic!("{other:?} is no middleware"),
    }
}

/// The answer to a request. The next handler answers 201 with the request's method and target, each of its headers,
/// and its body.
async fn ask(middleware: &dyn HttpMiddleware, request: Request<Body>) -> Response<Body> {
    let end = |request: Request<Body>| async move {
        let (head, body) = request.into_parts();
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::CREATED;
        *response.headers_mut() = head.headers;
        let asked = format!("{} {}", head.method, head.uri).parse().unwrap();
        response.headers_mut().insert("x-asked", asked);
        response
    };
    middleware.handle(request, Next::new(&[], end)).await
}

async fn answer(body: &str, request: Request<Body>) -> Response<Body> {
    let middleware = load(&guest(body), &[]).await.unwrap();
    ask(&*middleware, request).await
}

async fn text(response: Response<Body>) -> String {
    let bytes = collect(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn post(body: &'static str) -> Request<Body> {
    let request = Request::post("http://app/a?b=c");
    request
        .body(full(Bytes::from_static(body.as_bytes())))
        .unwrap()
}

#[tokio::test]
async fn a_guest_changes_the_request() {
    let body = format!(
        r#"(data (i32.const 0) "PUT/new?q=1x-newvaluex-old")
        (func (export "handle_request") (result i64)
            (call $set_method (i32.const 0) (i32.const 3))
            (call $set_uri (i32.const 3) (i32.const 8))
            (call $set_header_value (i32.const 0) (i32.const 11) (i32.const 5) (i32.const 16) (i32.const 5))
            (call $add_header_value (i32.const 0) (i32.const 11) (i32.const 5) (i32.const 3) (i32.const 4))
            (call $remove_header (i32.const 0) (i32.const 21) (i32.const 5))
            (call $set_header_value (i32.const 1) (i32.const 21) (i32.const 5) (i32.const 0) (i32.const 3))
            (i64.const 1))
        {IGNORES_RESPONSE}"#
    );
    let mut request = post("untouched");
    let header = |value: &str| value.parse().unwrap();
    request.headers_mut().insert("x-old", header("1"));
    request.headers_mut().insert("x-kept", header("2"));
    let response = answer(&body, request).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let headers = response.headers();
    assert_eq!(headers["x-asked"], "PUT http://app/new?q=1");
    let new: Vec<_> = headers.get_all("x-new").iter().collect();
    assert_eq!(new, ["value", "/new"]);
    assert_eq!(
        headers["x-old"], "PUT",
        "set on the response, before the next handler"
    );
    assert_eq!(headers["x-kept"], "2");
    assert_eq!(text(response).await, "untouched");
}

#[tokio::test]
async fn a_guest_answers_by_itself() {
    let body = format!(
        r#"(data (i32.const 0) "moved")
        (func (export "handle_request") (result i64)
            (call $set_status_code (i32.const 418))
            (call $write_body (i32.const 1) (i32.const 0) (i32.const 5))
            (call $write_body (i32.const 1) (i32.const 0) (i32.const 2))
            (i64.const 0))
        {IGNORES_RESPONSE}"#
    );
    let response = answer(&body, post("x")).await;
    assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(response.headers()[CONTENT_LENGTH], "7");
    assert_eq!(text(response).await, "movedmo");
}

/// Answers with what a host function writes to memory for `call`, which gives its length.
fn telling(call: &str) -> String {
    format!(
        r#"(data (i32.const 0) "x-many")
        (func (export "handle_request") (result i64)
            (call $write_body (i32.const 1) (i32.const 100) (i32.wrap_i64 ({call})))
            (i64.const 0))
        {IGNORES_RESPONSE}"#
    )
}

#[tokio::test]
async fn a_guest_sees_the_request() {
    let room = "(i32.const 100) (i32.const 1000)";
    for (call, expected) in [
        (
            format!("i64.extend_i32_u (call $get_method {room})"),
            "POST",
        ),
        (format!("i64.extend_i32_u (call $get_uri {room})"), "/a?b=c"),
        (
            format!("i64.extend_i32_u (call $get_protocol_version {room})"),
            "HTTP/1.1",
        ),
        (
            format!("i64.extend_i32_u (call $get_source_addr {room})"),
            "10.0.0.1:99",
        ),
        (
            format!("i64.extend_i32_u (call $get_config {room})"),
            "told",
        ),
        (
            format!("call $get_header_names (i32.const 0) {room}"),
            "accept\0x-many\0",
        ),
        (
            format!("call $get_header_values (i32.const 0) (i32.const 0) (i32.const 6) {room}"),
            "1\x002\0",
        ),
        (format!("call $read_body (i32.const 0) {room}"), "the body"),
    ] {
        let told = [("guestConfig", "told")];
        let middleware = load(&guest(&telling(&call)), &told).await.unwrap();
        let mut request = post("the body");
        for (name, value) in [("x-many", "1"), ("x-many", "2"), ("accept", "a")] {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let source = RemoteAddress("10.0.0.1:99".parse().unwrap());
        request.extensions_mut().insert(source);
        let response = ask(&*middleware, request).await;
        assert_eq!(text(response).await, expected, "{call}");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_told_by_its_length_alone() {
    let call = "i64.extend_i32_u (call $get_method (i32.const 100) (i32.const 3))";
    assert_eq!(
        text(answer(&telling(call), post("x")).await).await,
        "\0\0\0\0"
    );
}

#[tokio::test]
async fn a_body_that_was_read_still_reaches_the_next_handler() {
    let body = format!(
        r#"(func (export "handle_request") (result i64)
            (drop (call $read_body (i32.const 0) (i32.const 0) (i32.const 3)))
            (i64.const 1))
        {IGNORES_RESPONSE}"#
    );
    assert_eq!(
        text(answer(&body, post("the body")).await).await,
        "the body"
    );
}

#[tokio::test]
async fn a_guest_replaces_both_bodies() {
    let body = r#"(data (i32.const 0) "in")
        (func (export "handle_request") (result i64)
            (drop (call $enable_features (i32.const 3)))
            (call $write_body (i32.const 0) (i32.const 0) (i32.const 2))
            (i64.const 0x700000001))
        (func (export "handle_response") (param $own i32) (param $error i32)
            (local $read i32)
            (if (i32.ne (local.get $own) (i32.const 7)) (then unreachable))
            (if (i32.ne (call $get_status_code) (i32.const 201)) (then unreachable))
            (local.set $read (i32.wrap_i64 (call $read_body (i32.const 1) (i32.const 10) (i32.const 50))))
            (call $write_body (i32.const 1) (i32.const 10) (local.get $read))
            (call $write_body (i32.const 1) (i32.const 10) (local.get $read))
            (call $set_status_code (i32.const 202)))"#;
    let response = answer(body, post("original")).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(response.headers()[CONTENT_LENGTH], "4");
    assert_eq!(text(response).await, "inin");
}

#[tokio::test]
async fn what_cannot_be_done_fails_the_request_and_only_it() {
    let failing = |statement: &str| {
        format!(
            "(func (export \"handle_request\") (result i64) {statement} (i64.const 1)) {IGNORES_RESPONSE}"
        )
    };
    for statement in [
        "unreachable",
        "(loop (br 0))",
        "(drop (call $get_config (i32.const 65535) (i32.const 100)))",
        "(drop (call $read_body (i32.const 0) (i32.const 0) (i32.const 0)))",
        "(drop (call $read_body (i32.const 7) (i32.const 0) (i32.const 1)))",
        "(call $set_method (i32.const 0) (i32.const 0))",
        "(call $set_status_code (i32.const 7))",
        "(call $set_header_value (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))",
        "(call $proc_exit (i32.const 3))",
    ] {
        let told = [("guestConfig", "told")];
        let middleware = load(&guest(&failing(statement)), &told).await.unwrap();
        for _ in 0..2 {
            let response = ask(&*middleware, post("x")).await;
            assert_eq!(
                response.status(),
                StatusCode::INTERNAL_SERVER_ERROR,
                "{statement}"
            );
            assert_eq!(text(response).await, "Internal Server Error");
        }
    }
}

#[tokio::test]
async fn a_response_that_is_not_buffered_cannot_be_changed() {
    let response = |statement: &str| {
        format!("{NEXT} (func (export \"handle_response\") (param i32 i32) {statement})")
    };
    let reading =
        response("(if (i32.ne (call $get_status_code) (i32.const 201)) (then unreachable))");
    assert_eq!(
        answer(&reading, post("x")).await.status(),
        StatusCode::CREATED
    );
    let changing = response("(call $set_status_code (i32.const 202))");
    let changed = answer(&changing, post("x")).await;
    assert_eq!(changed.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn a_guest_still_reads_the_request_when_the_response_is_there() {
    let body = format!(
        r#"(data (i32.const 0) "x-who")
        {NEXT}
        (func (export "handle_response") (param i32 i32)
            (if (i64.ne
                    (call $get_header_values (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 16) (i32.const 16))
                    (i64.const 0x100000003))
                (then unreachable)))"#
    );
    let mut request = post("x");
    request.headers_mut().insert("x-who", "me".parse().unwrap());
    assert_eq!(answer(&body, request).await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn an_instance_serves_one_request_after_the_other() {
    // Counts its requests in a header of the response.
    let body = format!(
        r#"(data (i32.const 0) "x-count0")
        (func (export "handle_request") (result i64)
            (i32.store8 (i32.const 7) (i32.add (i32.load8_u (i32.const 7)) (i32.const 1)))
            (call $set_header_value (i32.const 1) (i32.const 0) (i32.const 7) (i32.const 7) (i32.const 1))
            (i64.const 1))
        {IGNORES_RESPONSE}"#
    );
    let middleware = load(&guest(&body), &[]).await.unwrap();
    for count in ["1", "2", "3"] {
        let response = ask(&*middleware, post("x")).await;
        assert_eq!(response.headers()["x-count"], count);
    }
}

#[tokio::test]
async fn memory_has_a_limit() {
    // 64 MiB are 1024 pages: one more than is left is refused, as the language has it.
    let body = format!(
        r#"(func (export "handle_request") (result i64)
            (if (i32.ne (memory.grow (i32.const 1024)) (i32.const -1)) (then unreachable))
            (if (i32.eq (memory.grow (i32.const 1023)) (i32.const -1)) (then unreachable))
            (i64.const 1))
        {IGNORES_RESPONSE}"#
    );
    assert_eq!(answer(&body, post("x")).await.status(), StatusCode::CREATED);
}

/// Answers with sixteen bytes: the time and a random number.
const TIME_AND_CHANCE: &str = r#"
    (func (export "handle_request") (result i64)
        (drop (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 0)))
        (drop (call $random_get (i32.const 8) (i32.const 8)))
        (call $write_body (i32.const 1) (i32.const 0) (i32.const 16))
        (i64.const 0))"#;

async fn time_and_chance(strict: &str) -> Bytes {
    let binary = guest(&format!("{TIME_AND_CHANCE} {IGNORES_RESPONSE}"));
    let middleware = load(&binary, &[("strictSandbox", strict)]).await.unwrap();
    let response = ask(&*middleware, post("x")).await;
    collect(response.into_body(), 100).await.unwrap()
}

#[tokio::test]
async fn a_strict_sandbox_shows_no_true_time_and_chance() {
    let strict = time_and_chance("true").await;
    assert_eq!(strict, time_and_chance("true").await);
    assert_eq!(strict[..8], 1_000_000_u64.to_le_bytes(), "one tick");
    let open = time_and_chance("false").await;
    assert_ne!(open[8..], time_and_chance("false").await[8..]);
}

#[tokio::test]
async fn a_guest_without_files_is_told_so() {
    let call = "(call $path_open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0)
        (i64.const 0) (i32.const 0) (i32.const 0))";
    let body = format!(
        "(func (export \"handle_request\") (result i64) (if (i32.ne {call} (i32.const 52)) (then unreachable))
         (i64.const 1)) {IGNORES_RESPONSE}"
    );
    assert_eq!(answer(&body, post("x")).await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_guest_prepares_itself_and_may_end_its_start_with_success() {
    let start = |code: u32| {
        format!(
            r#"(global $ready (mut i32) (i32.const 0))
            (func (export "_start") (global.set $ready (i32.const 1)) (call $proc_exit (i32.const {code})))
            (func (export "handle_request") (result i64)
                (if (i32.eqz (global.get $ready)) (then unreachable))
                (i64.const 1))
            {IGNORES_RESPONSE}"#
        )
    };
    assert_eq!(
        answer(&start(0), post("x")).await.status(),
        StatusCode::CREATED
    );
    let failed = load(&guest(&start(1)), &[]).await.err().unwrap();
    assert!(
        failed.to_string().contains("ended itself with status 1"),
        "{failed}"
    );
}

#[tokio::test]
async fn what_is_no_guest_is_refused_with_its_reason() {
    let refusal = async |binary: &[u8]| load(binary, &[]).await.err().unwrap().to_string();
    for (binary, reason) in [
        (b"no module".to_vec(), "error compiling guest"),
        (guest(NEXT), "guest doesn't export func[handle_response]"),
        (guest(IGNORES_RESPONSE), "guest doesn't export func[handle_request]"),
        (
            guest(&format!("(func (export \"handle_request\")) {IGNORES_RESPONSE}")),
            "wrong signature for func[handle_request]",
        ),
        (
            wat::parse_str(format!("(module {NEXT} {IGNORES_RESPONSE})")).unwrap(),
            "guest doesn't export memory[memory]",
        ),
        (
            wat::parse_str(format!(
                "(module (import \"other\" \"function\" (func)) (memory (export \"memory\") 1) {NEXT} {IGNORES_RESPONSE})"
            ))
            .unwrap(),
            "other",
        ),
    ] {
        let refused = refusal(&binary).await;
        assert!(refused.contains(reason), "{refused}");
    }
}

#[tokio::test]
async fn guests_come_from_the_web_too() {
    let binary = guest(&format!("{NEXT} {IGNORES_RESPONSE}"));
    let router = axum::Router::new().route("/guest.wasm", axum::routing::get(|| async { binary }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let found = create(&[("url", &format!("{base}/guest.wasm"))]).await;
    assert_eq!(
        ask(&*found.unwrap(), post("x")).await.status(),
        StatusCode::CREATED
    );
    let absent = create(&[("url", &format!("{base}/other"))])
        .await
        .err()
        .unwrap();
    assert!(
        absent.to_string().contains("received 404 status code"),
        "{absent}"
    );
    assert!(absent.is_transient());
}

#[tokio::test]
async fn a_place_without_guest_is_named() {
    for (url, reason) in [
        ("file:///nowhere/guest.wasm", "/nowhere/guest.wasm"),
        ("oci://registry/guest", "oci://) are not there yet"),
        ("ftp://host/guest", "expected file://"),
        ("guest.wasm", "expected file://"),
    ] {
        let refused = create(&[("url", url)]).await.err().unwrap();
        assert!(refused.to_string().contains(reason), "{refused}");
        assert!(!refused.is_transient());
    }
    assert!(create(&[]).await.err().unwrap().to_string().contains("url"));
}
