//! The one body type of the pipeline.

use std::error::Error;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Empty, Full, combinators::UnsyncBoxBody};

/// Why a body ended early.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// A body that arrives as it is read.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// A body that could not be taken into memory.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// Larger than allowed.
    #[error("body is larger than {limit} bytes")]
    TooLarge {
        /// The largest body allowed, in bytes.
        limit: usize,
    },
    /// The sender went away or broke the protocol.
    #[error("{0}")]
    Broken(BodyError),
}

/// No content.
#[must_use]
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Content that is already there.
#[must_use]
pub fn full(content: impl Into<Bytes>) -> Body {
    Full::new(content.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Takes a body into memory; trailers are dropped.
///
/// # Errors
/// It is larger than `limit` bytes, or ends early.
pub async fn collect(mut body: Body, limit: usize) -> Result<Bytes, CollectError> {
    let too_large = CollectError::TooLarge { limit };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large);
    }
    let mut collected = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(CollectError::Broken)?.into_data() else {
            continue;
        };
        if collected.len() + data.len() > limit {
            return Err(too_large);
        }
        collected.extend_from_slice(&data);
    }
    Ok(collected.freeze())
}
