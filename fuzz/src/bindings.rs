//! What bindings read: schedules, and requests for operations.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use trilby_components_cron::{Rhythm, Spec};
use trilby_sidecar::api::http::binding_invocation;

use crate::text;

/// When the next time is looked for, in seconds since 1970.
const NOW: i64 = 1_770_000_000;

/// A schedule that is accepted goes on, and never back.
pub(crate) fn cron(data: &[u8]) {
    let Some(Ok(spec)) = text(data).map(Spec::parse) else {
        return;
    };
    match spec.rhythm {
        Rhythm::Every(pause) => assert!(pause >= Duration::from_millis(1)),
        Rhythm::At(times) => {
            let mut now = Timestamp::from_second(NOW).expect("it is within range");
            for _ in 0..3 {
                let Some(next) = times.next(now, &TimeZone::UTC) else {
                    return;
                };
                assert!(next > now, "{spec:?}");
                now = next;
            }
        }
    }
}

/// A request that is accepted has data that are JSON, and is refused otherwise.
pub(crate) fn binding_request(data: &[u8]) {
    if let Ok(invocation) = binding_invocation(data) {
        let read: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(&invocation.data);
        assert!(read.is_ok(), "{:?}", invocation.data);
    }
}
