//! The webhook over HTTP.

use std::{error::Error, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{self, Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::any,
};
use http_body_util::LengthLimitError;
use tokio::{sync::watch, time::timeout};
use tracing::{error, warn};
use trilby_identity::TrustBundle;

use crate::{
    admission::{Admission, Now},
    metrics::Failure,
};

const JSON: &str = "application/json";

/// The API server takes objects of up to 3 MiB; a review wraps one, in another encoding.
const BODY_LIMIT: usize = 8 << 20;

/// The API server gives up after as long.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

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

type Refused = (StatusCode, &'static str);

async fn read(body: Body) -> Result<Bytes, Refused> {
    const EMPTY: Refused = (StatusCode::BAD_REQUEST, "empty body");
    const LATE: Refused = (StatusCode::REQUEST_TIMEOUT, "body took too long");
    const LARGE: Refused = (StatusCode::PAYLOAD_TOO_LARGE, "body is larger than 8 MiB");
    let body = timeout(BODY_TIMEOUT, body::to_bytes(body, BODY_LIMIT));
    match body.await {
        Ok(Ok(body)) if body.is_empty() => Err(EMPTY),
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error))
            if error
                .source()
                .is_some_and(<dyn Error>::is::<LengthLimitError>) =>
        {
            Err(LARGE)
        }
        Ok(Err(_)) => Err(EMPTY),
        Err(_elapsed) => Err(LATE),
    }
}

fn answer(webhook: &Webhook, headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, Refused> {
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
