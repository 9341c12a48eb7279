//! Middleware made and called by the tests of this crate.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use trilby_components::{
    metadata::Metadata,
    middleware::{Body, HttpMiddleware, Next, collect, empty, full},
    registry::{ComponentContext, CreateError, Instance, Registry},
};

async fn create(name: &str, metadata: &[(&str, &str)]) -> Result<Instance, CreateError> {
    let registry = Registry::default().with(crate::backends());
    let metadata = Metadata::new(metadata.iter().copied()).unwrap();
    let type_name = format!("middleware.http.{name}");
    registry
        .create(&type_name, "v1", ComponentContext::default(), metadata)
        .await
}

/// The middleware of that name.
pub(crate) async fn created(name: &str, metadata: &[(&str, &str)]) -> Arc<dyn HttpMiddleware> {
    match create(name, metadata).await.unwrap() {
        Instance::Middleware(middleware) => middleware,
        other => panic!("{other:?} is no middleware"),
    }
}

/// Why it cannot be created.
pub(crate) async fn refused(name: &str, metadata: &[(&str, &str)]) -> String {
    create(name, metadata).await.unwrap_err().to_string()
}

pub(crate) fn get(uri: &str) -> Request<Body> {
    Request::get(uri).body(empty()).unwrap()
}

/// Calls it in front of an end that answers with the request's path and query.
pub(crate) async fn call(
    middleware: &dyn HttpMiddleware,
    request: Request<Body>,
) -> Response<Body> {
    let end = |request: Request<Body>| async move {
        Response::new(full(request.uri().path_and_query().unwrap().to_string()))
    };
    middleware.handle(request, Next::new(&[], end)).await
}

/// Status and body of [`call`].
pub(crate) async fn answer(
    middleware: &dyn HttpMiddleware,
    request: Request<Body>,
) -> (StatusCode, String) {
    let response = call(middleware, request).await;
    let status = response.status();
    (status, text(response).await)
}

pub(crate) async fn text(response: Response<Body>) -> String {
    let bytes = collect(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}
