//! Spans as lines of the log, in upstream's words.

use std::sync::Arc;
use std::time::SystemTime;

use crate::context::hex_text;
use crate::span::SpanData;

/// Writes spans to the log, for those who debug.
pub(crate) struct Stdout;

impl Stdout {
    pub(crate) fn export(&self, batch: &[Arc<SpanData>]) {
        for span in batch {
            tracing::info!(target: "dapr.runtime.trace", "{}", line(span));
        }
    }
}

fn line(span: &SpanData) -> String {
    let parent = span.parent.map_or([0; 8], |parent| parent.span_id);
    format!(
        "[{}] Trace: {} Span: {}/{} Time: [{} ->  {}] Annotations: []",
        span.name,
        hex_text(&span.context.trace_id),
        hex_text(&parent),
        hex_text(&span.context.span_id),
        moment(span.start),
        moment(span.end),
    )
}

/// A moment as Go prints it.
fn moment(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .map(|time| time.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::line;
    use crate::context::SpanContext;
    use crate::span::{Kind, SpanData};

    #[test]
    fn a_span_is_one_line_in_upstreams_words() {
        let start = UNIX_EPOCH + Duration::from_millis(1_500);
        let context = SpanContext {
            trace_id: [0x11; 16],
            span_id: [0x22; 8],
            flags: 1,
        };
        let span = SpanData {
            context,
            parent: None,
            state: None,
            name: "CallLocal/b/x".to_owned(),
            kind: Kind::Client,
            start,
            end: start + Duration::from_millis(2),
            attributes: Vec::new(),
            error: None,
        };
        assert_eq!(
            line(&span),
            "[CallLocal/b/x] Trace: 11111111111111111111111111111111 Span: 0000000000000000/2222222222222222 \
             Time: [1970-01-01 00:00:01.5 +0000 UTC ->  1970-01-01 00:00:01.502 +0000 UTC] Annotations: []"
        );
    }
}
