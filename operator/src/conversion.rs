//! The conversion webhook: Subscriptions between their two versions, for the API server.
//!
//! ```text
//! kubectl apply (v1alpha1) ─► API server ─► POST /convert ─► stored as v2alpha1
//! kubectl get   (v1alpha1) ◄─ API server ◄─ POST /convert ◄─ stored as v2alpha1
//! ```

mod registration;
mod subscription;

use axum::{
    Json, Router,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use kube::core::conversion::{ConversionRequest, ConversionResponse, ConversionReview};
use kube::core::response::Status;
use tracing::warn;
use trilby_webhook::{Refusal, read};

pub(crate) use registration::Registration;
use subscription::convert;

/// The webhook's only path.
pub(crate) fn routes() -> Router {
    Router::new().route("/convert", post(answer))
}

async fn answer(request: Request) -> Response {
    let reviewed = match read(request.into_body()).await {
        Ok(body) => review(&body),
        Err(refusal) => Err(refusal),
    };
    match reviewed {
        Ok(review) => Json(review).into_response(),
        Err((status, text)) => {
            warn!(%status, text, "refused a request");
            (status, text).into_response()
        }
    }
}

fn review(body: &[u8]) -> Result<ConversionReview, Refusal> {
    const NO_REVIEW: Refusal = (StatusCode::BAD_REQUEST, "the body is no ConversionReview");
    const NO_REQUEST: Refusal = (StatusCode::BAD_REQUEST, "the review has no request");
    let review: ConversionReview = serde_json::from_slice(body).map_err(|_| NO_REVIEW)?;
    let mut request = ConversionRequest::from_review(review).map_err(|_| NO_REQUEST)?;
    let objects = std::mem::take(&mut request.objects);
    let version = request.desired_api_version.clone();
    let converted: Result<Vec<_>, _> = objects
        .into_iter()
        .map(|object| convert(object, &version))
        .collect();
    let response = ConversionResponse::for_request(request);
    let response = match converted {
        Ok(objects) => response.success(objects),
        Err(error) => {
            let reason = error.to_string();
            warn!(reason, "an object cannot be converted");
            response.failure(Status::failure(&reason, "Invalid"))
        }
    };
    Ok(response.into_review())
}

#[cfg(test)]
mod tests;
