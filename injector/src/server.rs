//! The webhook over HTTP.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::any,
};
use tokio::sync::watch;
use tracing::{error, warn};
use trilby_identity::TrustBundle;
use trilby_webhook::{Refusal, read};

use crate::{
    admission::{Admission, Now},
    metrics::Failure,
};

const JSON: &str = "application/json";

/// What reviews are answered from.
pub(crate) struct Webhook {
    pub(crate) admission: Admission,
    pub(crate) bundle: watch::Receiver<Arc<TrustBundle>>,
    pub(crate) mtls: watch::Receiver<bool>,
}

/// The webhook's only path, with any method, as upstream has it.
pub(crate) fn routes(webhook: Webhook) -> Router {
    Router::new()
        .route("/mutate", any(mutate))
        .with_state(Arc::new(webhook))
}

async fn mutate(State(webhook): State<Arc<Webhook>>, request: Request) -> Response {
    webhook.admission.metrics().requested();
    let (head, body) = request.into_parts();
    let outcome = match read(body).await {
        Ok(body) => answer(&webhook, &head.headers, &body),
        Err(refusal) => Err(refusal),
    };
    match outcome {
        Ok(answer) => ([(CONTENT_TYPE, JSON)], answer).into_response(),
        Err((status, text)) => {
            warn!(%status, text, "refused a request");
            (status, text).into_response()
        }
    }
}

fn answer(webhook: &Webhook, headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    if headers.get(CONTENT_TYPE).is_none_or(|given| given != JSON) {
        return Err((
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "invalid Content-Type, expected `application/json`",
        ));
    }
    let now = Now {
        trust_anchors: webhook.bundle.borrow().pem().to_owned(),
        mtls: *webhook.mtls.borrow(),
    };
    webhook.admission.answer(body, &now).map_err(|reason| {
        error!(%reason, "cannot write an answer");
        webhook.admission.metrics().failed("", Failure::Response);
        (StatusCode::INTERNAL_SERVER_ERROR, "cannot write an answer")
    })
}

#[cfg(test)]
mod tests;
