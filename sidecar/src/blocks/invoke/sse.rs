//! Server-sent events: calls whose client accepts nothing else.

use http::header::{ACCEPT, CACHE_CONTROL};
use http::{HeaderMap, HeaderValue};

use super::{Answer, Outcome};

const EVENT_STREAM: &str = "text/event-stream";

/// Whether the client of a call wants events only.
pub fn wanted(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|value| value.trim().eq_ignore_ascii_case(EVENT_STREAM))
}

/// Whether another sidecar passes an answer on as events: upstream's takes a 2xx only.
pub fn succeeds(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Http(status) => status.is_success(),
        Outcome::Grpc { .. } => true,
    }
}

/// Marks an answer from another sidecar as events, whatever its application called it.
pub(super) fn mark(answer: &mut Answer) {
    EVENT_STREAM.clone_into(&mut answer.content_type);
    answer
        .headers
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
}

#[cfg(test)]
mod tests {
    use http::header::ACCEPT;
    use http::{HeaderMap, HeaderValue};

    use super::wanted;

    #[test]
    fn only_clients_that_accept_nothing_else_want_events() {
        for (accept, expected) in [
            ("text/event-stream", true),
            (" Text/Event-Stream ", true),
            ("text/event-stream, */*", false),
            ("*/*", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(wanted(&headers), expected, "{accept}");
        }
        assert!(!wanted(&HeaderMap::new()));
    }
}
