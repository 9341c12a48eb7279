//! Ending on request of the application, through the shutdown API.

use http::{HeaderMap, HeaderValue};
use tokio_util::sync::CancellationToken;

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
        let is_true = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"true");
        if headers.get_all(FORCE).iter().any(is_true) {
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
        match manner {
            Manner::Gracefully => {
                tracing::info!("Shutdown requested via API");
                self.graceful.cancel();
            }
            Manner::Forced => {
                tracing::warn!(
                    "Force shutdown requested, exiting immediately without graceful shutdown"
                );
                self.forced.cancel();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::Manner;

    #[test]
    fn only_the_word_true_forces() {
        let with = |value| {
            Manner::from(&HeaderMap::from_iter([(
                super::FORCE.parse().unwrap(),
                value,
            )]))
        };
        assert_eq!(with(HeaderValue::from_static("True")), Manner::Forced);
        assert_eq!(with(HeaderValue::from_static("1")), Manner::Gracefully);
        assert_eq!(with(HeaderValue::from_static("0")), Manner::Gracefully);
        assert_eq!(Manner::from(&HeaderMap::new()), Manner::Gracefully);
    }
}
