//! The metadata of `pubsub.redis` beyond its connection.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::{
    metadata::{
        MetadataError, Schema,
        value::{Milliseconds, Seconds},
    },
    registry::InitError,
};

use super::entry::Trimming;

/// Upstream's code's default; its documents say 15s.
const PROCESSING_TIMEOUT: Milliseconds = Milliseconds(Duration::from_secs(60));
/// Upstream's code's default; its documents say 60s.
const REDELIVER_INTERVAL: Milliseconds = Milliseconds(Duration::from_secs(15));
/// Upstream's default for `queueDepth`.
const QUEUE_DEPTH: u32 = 100;
/// Upstream's default for `concurrency`.
const CONCURRENCY: u32 = 10;
/// The most that `queueDepth` and `concurrency` can ask for: what is read stays in memory until it is handled.
const MOST: u32 = 10_000;

/// Metadata of the broker.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// The consumer group: each gets all messages, and its replicas share them. Default: the app id.
    #[serde(rename = "consumerID")]
    pub(super) consumer_id: Option<String>,
    /// How long a message lies with a consumer that is dead, or did not take it, until it is handed over again; 0 for
    /// ever.
    #[schemars(extend("default" = "1m0s"))]
    processing_timeout: Option<Milliseconds>,
    /// How often to look for such messages; 0 for never.
    #[schemars(extend("default" = "15s"))]
    redeliver_interval: Option<Milliseconds>,
    /// Messages of one subscription that may wait in the sidecar, from 1 to 10000; 0 is as 1.
    #[schemars(extend("default" = QUEUE_DEPTH))]
    queue_depth: Option<u32>,
    /// Messages that may be handled at once, of all subscriptions together, from 1 to 10000.
    #[schemars(extend("default" = CONCURRENCY))]
    concurrency: Option<u32>,
    /// About how many messages a stream keeps; what comes beyond removes the oldest. Default: all.
    max_len_approx: Option<u64>,
    /// About how long a stream keeps messages, where `maxLenApprox` is not given. Default: for ever.
    #[serde(rename = "streamTTL")]
    stream_ttl: Option<Seconds>,
}

impl Schema for Settings {}

/// When messages are handed over again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Redelivery {
    /// Once nobody has touched them for so long.
    pub(super) after: Duration,
    /// How often to look for them.
    pub(super) every: Duration,
}

impl Settings {
    /// # Errors
    /// A number is out of its range.
    pub(super) fn check(&self) -> Result<(), InitError> {
        let refused = |name: &str, least: u32| {
            let reason = format!("a number from {least} to {MOST} is needed");
            Err(MetadataError::invalid(name, reason).into())
        };
        if !(1..=MOST).contains(&self.concurrency.unwrap_or(CONCURRENCY)) {
            return refused("concurrency", 1);
        }
        if self.queue_depth.unwrap_or(QUEUE_DEPTH) > MOST {
            return refused("queueDepth", 0);
        }
        if self.max_len() > 0 && self.stream_ttl().is_some() {
            tracing::warn!("streamTTL has no effect beside maxLenApprox");
        }
        Ok(())
    }

    pub(super) fn workers(&self) -> usize {
        self.concurrency.unwrap_or(CONCURRENCY) as usize
    }

    pub(super) fn depth(&self) -> usize {
        self.queue_depth.unwrap_or(QUEUE_DEPTH).max(1) as usize
    }

    /// None if either setting turns it off.
    pub(super) fn redelivery(&self) -> Option<Redelivery> {
        let Milliseconds(after) = self.processing_timeout.unwrap_or(PROCESSING_TIMEOUT);
        let Milliseconds(every) = self.redeliver_interval.unwrap_or(REDELIVER_INTERVAL);
        (!after.is_zero() && !every.is_zero()).then_some(Redelivery { after, every })
    }

    /// What a publication removes.
    pub(super) fn trimming(&self, now: Timestamp) -> Trimming {
        match (self.max_len(), self.stream_ttl()) {
            (0, None) => Trimming::None,
            (0, Some(life)) => {
                let life = i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
                Trimming::Before(now.as_millisecond().saturating_sub(life).max(0))
            }
            (most, _) => Trimming::Beyond(most),
        }
    }

    fn max_len(&self) -> u64 {
        self.max_len_approx.unwrap_or(0)
    }

    fn stream_ttl(&self) -> Option<Duration> {
        let Seconds(life) = self.stream_ttl?;
        (!life.is_zero()).then_some(life)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use trilby_components::metadata::Metadata;

    use super::{Redelivery, Settings};
    use crate::pubsub::entry::Trimming;

    fn settings<const N: usize>(pairs: [(&str, &str); N]) -> Settings {
        let metadata = Metadata::new(pairs).unwrap();
        metadata.decode().unwrap()
    }

    fn redelivery(after: u64, every: u64) -> Option<Redelivery> {
        let [after, every] = [after, every].map(Duration::from_millis);
        Some(Redelivery { after, every })
    }

    #[test]
    fn defaults_are_those_of_upstreams_code() {
        let settings = settings([]);
        assert_eq!(settings.redelivery(), redelivery(60_000, 15_000));
        assert_eq!((settings.depth(), settings.workers()), (100, 10));
        assert_eq!(settings.trimming(Timestamp::UNIX_EPOCH), Trimming::None);
    }

    #[test]
    fn a_redeliver_interval_is_a_duration_or_milliseconds() {
        for text in ["2s", "2000"] {
            let settings = settings([("redeliverInterval", text), ("processingTimeout", text)]);
            assert_eq!(settings.redelivery(), redelivery(2000, 2000), "{text}");
        }
    }

    #[test]
    fn zero_turns_redelivery_off() {
        for name in ["redeliverInterval", "processingTimeout"] {
            assert_eq!(settings([(name, "0")]).redelivery(), None, "{name}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused_by_name() {
        for (name, value) in [("concurrency", "0"), ("queueDepth", "10001")] {
            let refused = settings([(name, value)]).check().unwrap_err();
            assert!(refused.to_string().contains(name), "{refused}");
        }
        assert_eq!(settings([("queueDepth", "0")]).depth(), 1);
    }

    #[test]
    fn a_stream_is_cut_by_length_or_by_age() {
        let now = Timestamp::from_millisecond(90_000).unwrap();
        let cut = |pairs: [(&str, &str); 2]| settings(pairs).trimming(now);
        let by_length = cut([("maxLenApprox", "7"), ("streamTTL", "1m")]);
        assert_eq!(by_length, Trimming::Beyond(7));
        let by_age = cut([("maxLenApprox", "0"), ("streamTTL", "1m")]);
        assert_eq!(by_age, Trimming::Before(30_000));
    }
}
