//! Middleware made and called.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use trilby_components::{
    metadata::Metadata,
    middleware::{Body, HttpMiddleware, Next, collect, empty},
    registry::{ComponentContext, CreateError, Instance, Registry},
};

pub(crate) async fn create(
    name: &str,
    metadata: &[(&str, &str)],
) -> Result<Arc<dyn HttpMiddleware>, CreateError> {
    let registry = Registry::default().with(trilby_components_oauth2::backends());
    let metadata = Metadata::new(metadata.iter().copied()).unwrap();
    let type_name = format!("middleware.http.{name}");
    let context = ComponentContext::default();
    match registry.create(&type_name, "v1", context, metadata).await? {
        Instance::Middleware(middleware) => Ok(middleware),
        other => panic!("{other:?} is no middleware"),
    }
}

pub(crate) async fn refused(name: &str, metadata: &[(&str, &str)]) -> CreateError {
    match create(name, metadata).await {
        Ok(_) => panic!("{metadata:?} is accepted"),
        Err(error) => error,
    }
}

pub(crate) fn get(path: &str, headers: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = Request::get(path).body(empty()).unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

/// Calls it in front of an end that answers with the headers it got.
pub(crate) async fn call(
    middleware: &dyn HttpMiddleware,
    request: Request<Body>,
) -> Response<Body> {
    let end = |request: Request<Body>| async move {
        let mut response = Response::new(empty());
        *response.headers_mut() = request.headers().clone();
        response
    };
    middleware.handle(request, Next::new(&[], end)).await
}

pub(crate) async fn status_and_text(response: Response<Body>) -> (StatusCode, String) {
    let status = response.status();
    let bytes = collect(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}
