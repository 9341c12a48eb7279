//! An application that keeps what it gets, and answers as it is told.

use std::sync::Arc;

use http::{HeaderMap, StatusCode, Uri};
use parking_lot::Mutex;
use serde_json::{Value, json};
use trilby_testkit::assert_eventually;

/// A request that came.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: bytes::Bytes,
}

type Answers = dyn Fn(&Got) -> (StatusCode, String) + Send + Sync;

#[derive(Clone)]
pub(super) struct App {
    got: Arc<Mutex<Vec<Got>>>,
    subscriptions: Arc<Mutex<Option<Value>>>,
    answers: Arc<Mutex<Arc<Answers>>>,
}

impl Got {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn data(&self) -> Value {
        self.json()["data"].clone()
    }
}

impl App {
    pub(super) fn new() -> Self {
        Self {
            got: Arc::default(),
            subscriptions: Arc::default(),
            answers: Arc::new(Mutex::new(Arc::new(|_| (StatusCode::OK, String::new())))),
        }
    }

    /// Says so when it is asked what it subscribes to.
    pub(super) fn subscribing(self, subscriptions: &Value) -> Self {
        *self.subscriptions.lock() = Some(subscriptions.clone());
        self
    }

    pub(super) fn answer(
        &self,
        answers: impl Fn(&Got) -> (StatusCode, String) + Send + Sync + 'static,
    ) {
        *self.answers.lock() = Arc::new(answers);
    }

    pub(super) async fn serve(&self) -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = self.clone();
        let router = axum::Router::new().fallback(
            async move |uri: Uri, headers: HeaderMap, body: bytes::Bytes| {
                app.take((uri, headers, body))
            },
        );
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        port
    }

    fn take(&self, (uri, headers, body): (Uri, HeaderMap, bytes::Bytes)) -> (StatusCode, String) {
        let path = uri.path().to_owned();
        match path.as_str() {
            "/dapr/subscribe" => {
                return match &*self.subscriptions.lock() {
                    Some(subscriptions) => (StatusCode::OK, subscriptions.to_string()),
                    None => (StatusCode::NOT_FOUND, String::new()),
                };
            }
            "/dapr/config" | "/healthz" => return (StatusCode::OK, json!({}).to_string()),
            _ => {}
        }
        let got = Got {
            path,
            headers,
            body,
        };
        let answers = Arc::clone(&*self.answers.lock());
        self.got.lock().push(got.clone());
        answers(&got)
    }

    pub(super) fn got(&self) -> Vec<Got> {
        self.got.lock().clone()
    }

    /// What came at a path.
    pub(super) fn at(&self, path: &str) -> Vec<Got> {
        let mut got = self.got();
        got.retain(|one| one.path == path);
        got
    }

    /// Waits until so many requests came at a path.
    pub(super) async fn until(&self, path: &str, count: usize) -> Vec<Got> {
        assert_eventually!(self.at(path).len() >= count);
        let got = self.at(path);
        assert_eq!(got.len(), count, "{got:?}");
        got
    }
}
