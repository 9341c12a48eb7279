//! Ending on request of the application, through the shutdown API.

use http::HeaderMap;
use tokio_util::sync::CancellationToken;
use trilby_go_syntax::truthy;

/// How an application wants its sidecar to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// After open requests, with success.
    Gracefully,
    /// At once, with failure.
    Forced,
}

/// The name of the header, or metadata key, that forces.
const FORCE: &str = "dapr-force-shutdown";

impl From<&HeaderMap> for Manner {
    fn from(headers: &HeaderMap) -> Self {
        let forced = headers
            .get(FORCE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(truthy);
        if forced {
            Self::Forced
        } else {
            Self::Gracefully
        }
    }
}

/// Ends the process; cheap to clone.
#[derive(Debug, Clone)]
pub struct ShutdownRequest {
    graceful: CancellationToken,
    forced: CancellationToken,
}

impl ShutdownRequest {
    /// `graceful` begins the ordinary end of the process; `forced` its end without waiting.
    pub fn new(graceful: CancellationToken, forced: CancellationToken) -> Self {
        Self { graceful, forced }
    }

    /// Asks for the end.
    pub fn ask(&self, manner: Manner) {
        tracing::info!(?manner, "shutdown was asked for through the API");
        match manner {
            Manner::Gracefully => self.graceful.cancel(),
            Manner::Forced => self.forced.cancel(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::Manner;

    #[test]
    fn only_a_truthy_header_forces() {
        let with = |value| {
            Manner::from(&HeaderMap::from_iter([(
                super::FORCE.parse().unwrap(),
                value,
            )]))
        };
        assert_eq!(with(HeaderValue::from_static("true")), Manner::Forced);
        assert_eq!(with(HeaderValue::from_static("0")), Manner::Gracefully);
        assert_eq!(Manner::from(&HeaderMap::new()), Manner::Gracefully);
    }
}
