//! What an application that speaks gRPC answers to an event.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tracing::error;
use trilby_components::binding::Invocation;
use trilby_proto::runtime::v1::BindingEventResponse;
use trilby_proto::runtime::v1::binding_event_response::BindingEventConcurrency;

use super::Bindings;
use crate::blocks::state::compact_json;

/// What the bindings are asked for.
const OPERATION: &str = "create";
/// Bindings that are asked at once.
const AT_ONCE: usize = 16;

/// Asks the bindings that an answer names, one after the other until one fails, or at once. As upstream's: a failure is in
/// the log, and the event counts as taken nevertheless.
pub(super) async fn follow(bindings: &Bindings, answer: &BindingEventResponse) {
    let data = data_of(&answer.data);
    let parallel = answer.concurrency() == BindingEventConcurrency::Parallel;
    if parallel {
        let all = stream::iter(&answer.to);
        all.for_each_concurrent(AT_ONCE, async |name| {
            ask(bindings, name, data.clone()).await;
        })
        .await;
        return;
    }
    for name in &answer.to {
        if !ask(bindings, name, data.clone()).await {
            return;
        }
    }
}

/// Whether it was done.
async fn ask(bindings: &Bindings, name: &str, data: Bytes) -> bool {
    let invocation = Invocation {
        operation: OPERATION.to_owned(),
        data,
        ..Invocation::default()
    };
    let done = bindings.invoke(name, invocation).await;
    if let Err(failed) = &done {
        error!("error executing app response: {}", failed.error);
    }
    done.is_ok()
}

/// The data as JSON; what is none is as if there were no data.
fn data_of(data: &[u8]) -> Bytes {
    compact_json(data).unwrap_or_else(|_| Bytes::from_static(b"null"))
}

#[cfg(test)]
mod tests {
    use super::data_of;

    #[test]
    fn data_is_json_as_it_was_written_or_none() {
        assert_eq!(
            data_of(b"{ \"a\": 9007199254740993 }"),
            r#"{"a":9007199254740993}"#
        );
        assert_eq!(data_of(b"text"), "null");
        assert_eq!(data_of(b""), "null");
    }
}
