//! A review from the API server, bounded in size and time.

use std::{error::Error, time::Duration};

use axum::{
    body::{self, Body, Bytes},
    http::StatusCode,
};
use http_body_util::LengthLimitError;
use tokio::time::timeout;

/// The API server takes objects of up to 3 MiB; a review wraps one, in another encoding, or the parts of a list.
const BODY_LIMIT: usize = 8 << 20;

/// The API server gives up after as long.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a request is not answered: status and text.
pub type Refusal = (StatusCode, &'static str);

/// The whole body.
///
/// # Errors
/// It is empty, larger than 8 MiB, or takes more than 10 s.
pub async fn read(body: Body) -> Result<Bytes, Refusal> {
    const EMPTY: Refusal = (StatusCode::BAD_REQUEST, "empty body");
    const LATE: Refusal = (StatusCode::REQUEST_TIMEOUT, "body took too long");
    const LARGE: Refusal = (StatusCode::PAYLOAD_TOO_LARGE, "body is larger than 8 MiB");
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
