use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body as HttpBody;
use http::{HeaderValue, Request, Response, StatusCode};
use tokio::sync::Barrier;
use trilby_components::middleware::{Body, HttpMiddleware, Next};
use trilby_crds::{HandlerSpec, PipelineSpec};
use trilby_resources::Lookup;

use super::{Found, Handler, Pipeline, Skipped, build};

struct Mark(&'static str);

#[async_trait]
impl HttpMiddleware for Mark {
    async fn handle(&self, mut request: Request<Body>, next: Next<'_>) -> Response<Body> {
        let mark = HeaderValue::from_static(self.0);
        request.headers_mut().append("mark", mark);
        next.run(request).await
    }
}

/// Lets requests go on in pairs.
struct Meeting(Barrier);

#[async_trait]
impl HttpMiddleware for Meeting {
    async fn handle(&self, request: Request<Body>, next: Next<'_>) -> Response<Body> {
        self.0.wait().await;
        next.run(request).await
    }
}

fn pipeline(handlers: Vec<Handler>) -> Pipeline {
    let pipeline = Pipeline::default();
    assert!(pipeline.swap(handlers));
    pipeline
}

fn marks(request: &Request<HttpBody>) -> String {
    let marks = request.headers().get_all("mark").iter();
    marks.map(|mark| mark.to_str().unwrap()).collect()
}

fn answer(text: String) -> Response<HttpBody> {
    Response::new(HttpBody::from(text))
}

async fn body(response: Response<HttpBody>) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1000).await;
    String::from_utf8(bytes.unwrap().to_vec()).unwrap()
}

fn spec(names: &[&str]) -> PipelineSpec {
    let handlers = names.iter().map(|name| HandlerSpec {
        name: (*name).to_owned(),
        type_: "middleware.http.mark".to_owned(),
        ..HandlerSpec::default()
    });
    PipelineSpec {
        handlers: handlers.collect(),
    }
}

fn known(spec: &HandlerSpec) -> Found {
    match spec.name.as_str() {
        "a" => Ok(Arc::new(Mark("a"))),
        "b" => Ok(Arc::new(Mark("b"))),
        "broken" => Err(Lookup::Failed("its key is missing".to_owned())),
        _ => Err(Lookup::NotFound),
    }
}

#[test]
fn without_handlers_there_is_no_chain() {
    assert!(Pipeline::default().current().is_none());
    let (handlers, skipped) = build(None, known);
    assert!(!Pipeline::default().swap(handlers));
    assert_eq!(skipped, []);
}

#[tokio::test]
async fn an_absent_handler_is_skipped_and_named() {
    let (handlers, skipped) = build(Some(&spec(&["a", "gone", "b"])), known);
    let chain = pipeline(handlers).current().unwrap();
    let end = |request| async move { answer(marks(&request)) };
    let response = chain.run(Request::new(HttpBody::empty()), end).await;
    assert_eq!(body(response).await, "ab");
    assert_eq!(
        skipped,
        [Skipped::Absent {
            name: "gone".to_owned(),
            type_name: "middleware.http.mark".to_owned()
        }]
    );
}

#[tokio::test]
async fn a_failing_handler_lets_nothing_through() {
    let (handlers, skipped) = build(Some(&spec(&["a", "broken"])), known);
    let chain = pipeline(handlers).current().unwrap();
    let response = chain
        .run(Request::new(HttpBody::empty()), |_| async {
            panic!("nothing passes")
        })
        .await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let text = body(response).await;
    assert_eq!(
        text,
        "the middleware broken of this pipeline does not serve"
    );
    assert!(
        matches!(&skipped[..], [Skipped::Failing { reason, .. }] if reason == "its key is missing")
    );
}

#[tokio::test]
async fn a_request_keeps_the_chain_that_it_began_with() {
    let first: Arc<dyn HttpMiddleware> = Arc::new(Mark("old"));
    let pipeline = pipeline(vec![Handler::Serving(Arc::clone(&first))]);
    let begun = pipeline.current().unwrap();
    let again = vec![Handler::Serving(first)];
    assert!(!pipeline.swap(again), "the same again is no change");
    assert!(pipeline.swap(vec![Handler::Serving(Arc::new(Mark("new")))]));
    for (chain, expected) in [(begun, "old"), (pipeline.current().unwrap(), "new")] {
        let end = |request| async move { answer(marks(&request)) };
        let response = chain.run(Request::new(HttpBody::empty()), end).await;
        assert_eq!(body(response).await, expected);
    }
    assert!(pipeline.swap(Vec::new()));
    assert!(pipeline.current().is_none());
}

/// Upstream keeps one chain whose end is replaced by each request.
#[tokio::test]
async fn concurrent_requests_never_run_each_others_end() {
    let chain = pipeline(vec![Handler::Serving(Arc::new(Meeting(Barrier::new(2))))])
        .current()
        .unwrap();
    let call = |name: &'static str| {
        let chain = Arc::clone(&chain);
        async move {
            let end = move |_| async move { answer(name.to_owned()) };
            body(chain.run(Request::new(HttpBody::empty()), end).await).await
        }
    };
    for _ in 0..100 {
        let (left, right) = tokio::join!(call("left"), call("right"));
        assert_eq!((left.as_str(), right.as_str()), ("left", "right"));
    }
}
