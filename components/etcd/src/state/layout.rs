//! What is kept of a value.

use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use prost::Message;
use trilby_components::state::{SetRequest, StateError, Ttl};

/// Upstream's layouts of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// v1: the bytes. When they go, only etcd knows.
    First,
    /// v2: [`Value`].
    Second,
}

/// Upstream's message (`components.state.etcd.v2.Value`).
#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(bytes = "bytes", tag = "1")]
    data: Bytes,
    /// When it was written, by the writer's clock.
    #[prost(message, optional, tag = "2")]
    ts: Option<prost_types::Timestamp>,
    /// How long it lives from then on. Upstream writes 0 where it means for good.
    #[prost(message, optional, tag = "3")]
    ttl: Option<prost_types::Duration>,
}

impl Layout {
    /// The bytes that are kept of what is written at `now`.
    pub(super) fn encode(self, set: &SetRequest, now: Timestamp) -> Bytes {
        let data = set.value.bytes().clone();
        match self {
            Self::First => data,
            Self::Second => {
                let value = Value {
                    data,
                    ts: Some(prost_types::Timestamp {
                        seconds: now.as_second(),
                        nanos: now.subsec_nanosecond(),
                    }),
                    ttl: life(set.ttl).map(|seconds| prost_types::Duration { seconds, nanos: 0 }),
                };
                value.encode_to_vec().into()
            }
        }
    }

    /// The value, and when it goes if that is known.
    pub(super) fn decode(
        self,
        key: &str,
        kept: Bytes,
    ) -> Result<(Bytes, Option<Timestamp>), StateError> {
        match self {
            Self::First => Ok((kept, None)),
            Self::Second => {
                let value = Value::decode(kept).map_err(|error| {
                    let reason = format!("etcd: key {key}: it holds no value of v2: {error}");
                    StateError::Store(reason)
                })?;
                let expiry = value.expiry();
                Ok((value.data, expiry))
            }
        }
    }
}

impl Value {
    fn expiry(&self) -> Option<Timestamp> {
        let ttl = self.ttl.filter(|ttl| (ttl.seconds, ttl.nanos) > (0, 0))?;
        let written = self.ts?;
        let written = Timestamp::new(written.seconds, written.nanos).ok()?;
        written
            .checked_add(SignedDuration::new(ttl.seconds, ttl.nanos))
            .ok()
    }
}

/// The seconds that a value lives; `None` for good.
pub(super) fn life(ttl: Option<Ttl>) -> Option<i64> {
    match ttl? {
        Ttl::Never => None,
        Ttl::After(life) => Some(whole_seconds(life)),
    }
}

fn whole_seconds(life: Duration) -> i64 {
    i64::try_from(life.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use trilby_components::state::Value as Written;

    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_800_000_000, 5);

    fn set(ttl: Option<Ttl>) -> SetRequest {
        let mut set = SetRequest::new("key", Written::Json("{}".into()));
        set.ttl = ttl;
        set
    }

    #[test]
    fn the_first_layout_is_the_bytes() {
        let kept = Layout::First.encode(&set(None), NOW);
        assert_eq!(&kept[..], b"{}");
        assert_eq!(Layout::First.decode("key", kept.clone()), Ok((kept, None)));
    }

    /// Field 1: bytes; 2: a message of varint 1 (seconds) and varint 2 (nanoseconds); 3: a message of varint 1.
    #[test]
    fn the_second_layout_is_upstreams_message() {
        let kept = Layout::Second.encode(&set(None), NOW);
        let expected = b"\x0a\x02{}\x12\x08\x08\x80\xa4\xa7\xda\x06\x10\x05";
        assert_eq!(&kept[..], expected);
        let ttl = Some(Ttl::After(Duration::from_secs(7)));
        let kept = Layout::Second.encode(&set(ttl), NOW);
        assert_eq!(kept[..expected.len()], expected[..]);
        assert_eq!(&kept[expected.len()..], b"\x1a\x02\x08\x07");
        let (data, expiry) = Layout::Second.decode("key", kept).unwrap();
        assert_eq!(&data[..], b"{}");
        let expiry = expiry.unwrap() - NOW;
        assert_eq!(expiry.get_seconds(), 7);
    }

    /// Upstream writes a duration of 0 with every value that has none.
    #[test]
    fn no_ttl_and_an_empty_one_are_no_expiry() {
        for ttl in [None, Some(Ttl::Never)] {
            let kept = Layout::Second.encode(&set(ttl), NOW);
            let mut of_upstream = kept.to_vec();
            assert_eq!(Layout::Second.decode("key", kept).unwrap().1, None);
            of_upstream.extend(b"\x1a\x00");
            let decoded = Layout::Second.decode("key", of_upstream.into()).unwrap();
            assert_eq!(decoded, ("{}".into(), None));
        }
    }

    #[test]
    fn what_is_no_message_is_an_error_that_names_the_key() {
        let error = Layout::Second.decode("app||key", "plain".into());
        let error = error.unwrap_err();
        assert!(matches!(error, StateError::Store(_)), "{error}");
        assert!(error.to_string().contains("app||key"), "{error}");
    }
}
