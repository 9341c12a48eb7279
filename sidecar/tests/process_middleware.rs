//! Middleware pipelines in the real binary: in front of the HTTP API and in front of the application.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::net::Ipv4Addr;
use std::path::PathBuf;

use axum::Router;
use axum::extract::Request;
use http::StatusCode;
use trilby_testkit::assert_eventually;
use trilby_testkit::http::{Client, Response};
use trilby_testkit::services::Daprd;

/// An application that answers with the path and the body it got. Ends with the test.
async fn app() -> u16 {
    async fn answer(request: Request) -> String {
        let path = request.uri().path().to_owned();
        let body = axum::body::to_bytes(request.into_body(), 1 << 20).await;
        format!("{path} {}", String::from_utf8_lossy(&body.unwrap()))
    }
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = axum::serve(listener, Router::new().fallback(answer));
    tokio::spawn(async move { served.await });
    port
}

/// A sidecar of the application `shop`, with a Configuration and components that may change.
struct Shop {
    daprd: Daprd,
    folder: tempfile::TempDir,
}

impl Shop {
    async fn start(configuration: &str, components: &[(&str, &str, &str)]) -> Self {
        let mut shop = Self::prepare(configuration, components).await;
        shop.daprd.start().await;
        shop
    }

    async fn prepare(configuration: &str, components: &[(&str, &str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("components")).unwrap();
        let port = app().await;
        let daprd = Daprd::new("shop").app_port(port);
        let daprd = daprd
            .arg(
                "--resources-path",
                folder.path().join("components").display(),
            )
            .arg("--config", folder.path().join("config.yaml").display());
        let shop = Self { daprd, folder };
        shop.configure(configuration);
        for (name, kind, metadata) in components {
            shop.component(name, kind, metadata);
        }
        shop
    }

    fn configure(&self, spec: &str) {
        let text = format!(
            "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: c\nspec: {spec}\n"
        );
        replace(self.folder.path().join("config.yaml"), &text);
    }

    /// A middleware; `metadata` as a YAML map in one line.
    fn component(&self, name: &str, kind: &str, metadata: &str) {
        let text = format!(
            "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\nspec:\n  \
             type: middleware.http.{kind}\n  version: v1\n  metadata: {metadata}\n"
        );
        let file = format!("components/{name}.yaml");
        replace(self.folder.path().join(file), &text);
    }

    async fn call(&self, path: &str, body: &str) -> Response {
        let url = self.daprd.url(path);
        Client::host().post(&url, body).await.unwrap()
    }

    async fn text(&self, path: &str, body: &str) -> String {
        self.call(path, body).await.text()
    }
}

/// Writes a file in one step, so that nobody reads half of it.
fn replace(path: PathBuf, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn pipeline(name: &str, handlers: &[(&str, &str)]) -> String {
    let handlers = handlers
        .iter()
        .map(|(name, kind)| format!("{{name: {name}, type: middleware.http.{kind}}}"));
    let handlers: Vec<_> = handlers.collect();
    format!("{{{name}: {{handlers: [{}]}}}}", handlers.join(", "))
}

const ECHO: &str = "/v1.0/invoke/shop/method/echo";
const UPPER: (&str, &str) = ("upper", "uppercase");

fn routes(routes: &str) -> String {
    format!("[{{name: routes, value: '{routes}'}}]")
}

#[tokio::test]
async fn the_api_sees_what_the_pipeline_made_of_a_request() {
    let first = routes(r#"{"/hello": "/v1.0/invoke/shop/method/one"}"#);
    let second = routes(
        r#"{"/hello": "/v1.0/invoke/shop/method/never", "/v1.0/invoke/shop/method/one": "/v1.0/invoke/shop/method/two"}"#,
    );
    let handlers = [("a", "routeralias"), ("b", "routeralias"), UPPER];
    let components = [
        ("a", "routeralias", first.as_str()),
        ("b", "routeralias", second.as_str()),
        ("upper", "uppercase", "[]"),
    ];
    let shop = Shop::start(&pipeline("httpPipeline", &handlers), &components).await;
    assert_eq!(shop.text("/hello", "x").await, "/two X");
    assert_eq!(shop.text(ECHO, "x").await, "/echo X");
}

#[tokio::test]
async fn the_application_sees_what_its_pipeline_made_of_a_call() {
    let alias = routes(r#"{"/echo": "/other"}"#);
    let handlers = [("alias", "routeralias"), UPPER];
    let components = [
        ("alias", "routeralias", alias.as_str()),
        ("upper", "uppercase", "[{name: direction, value: both}]"),
    ];
    let shop = Shop::start(&pipeline("appHttpPipeline", &handlers), &components).await;
    assert_eq!(shop.text(ECHO, "x").await, "/OTHER X");
}

#[tokio::test]
async fn hosts_outside_see_what_the_applications_pipeline_made_of_a_call() {
    let upper = ("upper", "uppercase", "[]");
    let mut shop = Shop::prepare(&pipeline("appHttpPipeline", &[UPPER]), &[upper]).await;
    let port = app().await;
    let endpoint = format!(
        "apiVersion: dapr.io/v1alpha1\nkind: HTTPEndpoint\nmetadata:\n  name: web\nspec:\n  \
         baseUrl: http://127.0.0.1:{port}\n"
    );
    replace(shop.folder.path().join("components/web.yaml"), &endpoint);
    shop.daprd.start().await;
    let path = "/v1.0/invoke/web/method/one";
    assert_eq!(shop.text(path, "x").await, "/one X");
    let path = format!("/v1.0/invoke/http://127.0.0.1:{port}/method/two");
    assert_eq!(shop.text(&path, "x").await, "/two X");
}

#[tokio::test]
async fn an_absent_middleware_is_warned_of_and_skipped() {
    for name in ["httpPipeline", "appHttpPipeline"] {
        let shop = Shop::start(&pipeline(name, &[UPPER]), &[]).await;
        assert_eq!(shop.text(ECHO, "x").await, "/echo x");
        let log = shop.daprd.log().text();
        assert!(
            log.contains("requests pass without it") && log.contains(name),
            "{log}"
        );
    }
}

#[tokio::test]
async fn a_middleware_that_does_not_serve_lets_nothing_through_until_it_does() {
    let checker = [("guard", "routerchecker")];
    let broken = [("guard", "routerchecker", "[{name: rule, value: '(['}]")];
    let mut shop = Shop::prepare(&pipeline("httpPipeline", &checker), &broken).await;
    shop.daprd.launch();
    let url = shop.daprd.url(ECHO);
    assert_eventually!(matches!(
        Client::host().post(&url, "x").await,
        Ok(response) if response.status == StatusCode::INTERNAL_SERVER_ERROR
            && response.text().contains("the middleware guard of this pipeline does not serve")
    ));
    shop.component("guard", "routerchecker", "[{name: rule, value: echo}]");
    assert_eventually!(shop.call(ECHO, "x").await.status == StatusCode::OK);
    let other = shop.call("/v1.0/invoke/shop/method/other", "x").await;
    assert_eq!(other.status, StatusCode::BAD_REQUEST);
    assert_eq!(other.text(), "invalid router");
}

#[tokio::test]
async fn pipelines_change_while_the_sidecar_runs() {
    let components = [("upper", "uppercase", "[]")];
    let shop = Shop::start("{}", &components).await;
    let process = shop.daprd.pid();
    assert_eq!(shop.text(ECHO, "x").await, "/echo x");
    for name in ["httpPipeline", "appHttpPipeline"] {
        shop.configure(&pipeline(name, &[UPPER]));
        assert_eventually!(shop.text(ECHO, "x").await == "/echo X");
        shop.component("upper", "uppercase", "[{name: direction, value: response}]");
        assert_eventually!(shop.text(ECHO, "x").await == "/ECHO X");
        shop.configure("{}");
        assert_eventually!(shop.text(ECHO, "x").await == "/echo x");
        shop.component("upper", "uppercase", "[]");
    }
    assert_eq!(shop.daprd.pid(), process);
}

/// Upstream keeps one chain for all calls to the application, and concurrent ones run each other's end.
#[tokio::test]
async fn concurrent_requests_never_see_each_others_chain() {
    let both = format!(
        "{{httpPipeline: {{handlers: [{0}]}}, appHttpPipeline: {{handlers: [{0}]}}}}",
        "{name: upper, type: middleware.http.uppercase}"
    );
    let shop = Shop::start(&both, &[("upper", "uppercase", "[]")]).await;
    let shop = std::sync::Arc::new(shop);
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..200 {
        let caller = std::sync::Arc::clone(&shop);
        calls.spawn(async move {
            let path = format!("/v1.0/invoke/shop/method/p{number}");
            let answer = caller.text(&path, &format!("b{number}")).await;
            assert_eq!(answer, format!("/p{number} B{number}"));
        });
        if number % 50 == 0 {
            let metadata =
                format!("[{{name: direction, value: request}}, {{name: at, value: '{number}'}}]");
            shop.component("upper", "uppercase", &metadata);
        }
    }
    while let Some(done) = calls.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_bad_update_of_a_middleware_leaves_the_old_one_in_the_pipeline() {
    let configuration = pipeline("httpPipeline", &[UPPER]);
    let shop = Shop::start(&configuration, &[("upper", "uppercase", "[]")]).await;
    for (kind, metadata, part) in [
        ("uppercase", "[{name: []}]", "expected a string"),
        ("no-such-thing", "[]", "no-such-thing"),
    ] {
        shop.component("upper", kind, metadata);
        let url = shop.daprd.url("/v1.0/metadata");
        assert_eventually!(
            Client::host()
                .get(&url)
                .await
                .unwrap()
                .text()
                .contains(part)
        );
        assert_eq!(shop.text(ECHO, "body").await, "/echo BODY");
    }
}

/// A guest that answers with whether its clock is the sandbox's, which moves by a millisecond each time it is read.
const CLOCK_GUEST: &str = r#"(module
    (import "wasi_snapshot_preview1" "clock_time_get" (func $now (param i32 i64 i32) (result i32)))
    (import "http_handler" "write_body" (func $write_body (param i32 i32 i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "strictopen")
    (func (export "handle_request") (result i64)
        (drop (call $now (i32.const 1) (i64.const 1) (i32.const 16)))
        (drop (call $now (i32.const 1) (i64.const 1) (i32.const 24)))
        (if (i64.eq (i64.sub (i64.load (i32.const 24)) (i64.load (i32.const 16))) (i64.const 1000000))
            (then (call $write_body (i32.const 1) (i32.const 0) (i32.const 6)))
            (else (call $write_body (i32.const 1) (i32.const 6) (i32.const 4))))
        (i64.const 0))
    (func (export "handle_response") (param i32 i32)))"#;

async fn clock_of(configuration: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), wat::parse_str(CLOCK_GUEST).unwrap()).unwrap();
    let metadata = format!("[{{name: url, value: 'file://{}'}}]", file.path().display());
    let shop = Shop::start(configuration, &[("guest", "wasm", &metadata)]).await;
    shop.text("/v1.0/invoke/shop/method/here", "x").await
}

#[tokio::test]
async fn a_guest_answers_and_the_configuration_may_make_its_sandbox_strict() {
    let pipeline = "httpPipeline: {handlers: [{name: guest, type: middleware.http.wasm}]}";
    assert_eq!(clock_of(&format!("{{{pipeline}}}")).await, "open");
    let strict = format!("{{{pipeline}, wasm: {{strictSandbox: true}}}}");
    assert_eq!(clock_of(&strict).await, "strict");
}
