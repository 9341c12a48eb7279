//! Server reflection. Its index of every message costs memory, so it is made when somebody asks.

use std::sync::OnceLock;

use axum::body::Body;
use http::{Request, Response};
use tonic::Status;
use tower::ServiceExt as _;

static ROUTES: OnceLock<Option<axum::Router>> = OnceLock::new();

/// Whether a path belongs to reflection.
pub(super) fn serves(path: &str) -> bool {
    path.starts_with("/grpc.reflection.v1.") || path.starts_with("/grpc.reflection.v1alpha.")
}

/// Answers a question about services.
pub(super) async fn answer(request: Request<Body>) -> Response<Body> {
    let Some(routes) = ROUTES.get_or_init(routes) else {
        return Status::internal("the descriptors of this build cannot be read").into_http();
    };
    match routes.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn routes() -> Option<axum::Router> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(trilby_proto::DESCRIPTOR_SET)
    };
    let (v1, alpha) = (builder().build_v1().ok()?, builder().build_v1alpha().ok()?);
    Some(
        tonic::service::Routes::new(v1)
            .add_service(alpha)
            .into_axum_router(),
    )
}
