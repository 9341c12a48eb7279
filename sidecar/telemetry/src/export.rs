//! The ways that spans leave the process.

mod connection;
pub(crate) mod otlp;
pub(crate) mod stdout;
pub(crate) mod zipkin;

use std::sync::Arc;

use crate::span::SpanData;

/// One way out.
pub(crate) enum Exporter {
    Stdout(stdout::Stdout),
    Zipkin(zipkin::Zipkin),
    Otlp(Box<otlp::Otlp>),
}

/// Spans that a server did not take.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// It may take them later: it is away or overloaded.
    #[error("{0}")]
    Passing(String),
    /// It will never take them.
    #[error("{0}")]
    Refused(String),
}

impl ExportError {
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Passing(_))
    }

    /// What a status of HTTP means for a batch that could be sent again.
    fn of_status(status: http::StatusCode, body: &[u8]) -> Self {
        let shown = &body[..body.len().min(200)];
        let text = format!("{status}: {}", String::from_utf8_lossy(shown).trim());
        match status.as_u16() {
            429 | 502 | 503 | 504 => Self::Passing(text),
            _ => Self::Refused(text),
        }
    }
}

impl Exporter {
    /// Its name in logs.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Stdout(_) => "stdout",
            Self::Zipkin(_) => "zipkin",
            Self::Otlp(otlp) => otlp.name(),
        }
    }

    /// Where its spans go.
    pub(crate) fn address(&self) -> &str {
        match self {
            Self::Stdout(_) => "",
            Self::Zipkin(zipkin) => zipkin.address(),
            Self::Otlp(otlp) => otlp.address(),
        }
    }

    /// Sends one batch, within the exporter's time limit.
    pub(crate) async fn export(&self, batch: &[Arc<SpanData>]) -> Result<(), ExportError> {
        match self {
            Self::Stdout(stdout) => {
                stdout.export(batch);
                Ok(())
            }
            Self::Zipkin(zipkin) => zipkin.export(batch).await,
            Self::Otlp(otlp) => otlp.export(batch).await,
        }
    }
}
