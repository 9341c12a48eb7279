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
    injection::Declarations,
    metrics::Failure,
};

const JSON: &str = "application/json";

/// What reviews are answered from.
pub(crate) struct Webhook {
    pub(crate) admission: Admission,
    pub(crate) bundle: watch::Receiver<Arc<TrustBundle>>,
    pub(crate) mtls: watch::Receiver<bool>,
    pub(crate) components: watch::Receiver<Declarations>,
    pub(crate) native_sidecars: watch::Receiver<bool>,
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
    let bundle = webhook.bundle.borrow().clone();
    // Held until the answer is written, which waits for nothing.
    let components = webhook.components.borrow();
    let now = Now {
        trust_anchors: bundle.pem(),
        mtls: *webhook.mtls.borrow(),
        components: &components,
        native_sidecars: *webhook.native_sidecars.borrow(),
    };
    webhook.admission.answer(body, now).map_err(|reason| {
        error!(%reason, "cannot write an answer");
        webhook.admission.metrics().failed("", Failure::Response);
        (StatusCode::INTERNAL_SERVER_ERROR, "cannot write an answer")
    })
}

#[cfg(test)]
mod tests;
