//! Wall-clock time, which certificate validity is about, behind a trait that tests replace.

use std::{fmt, time::SystemTime};

use rustls::{pki_types::UnixTime, time_provider::TimeProvider};

/// Tells the wall-clock time.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Now. Not monotonic: the machine's clock may be set.
    fn now(&self) -> SystemTime;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A [`Clock`] in the form that TLS asks for.
#[derive(Debug)]
pub(crate) struct TlsTime(pub(crate) std::sync::Arc<dyn Clock>);

impl TimeProvider for TlsTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(self.0.now()))
    }
}

/// Whole seconds since 1970; earlier times count as 1970, when no certificate was valid.
pub(crate) fn unix_time(time: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(
        time.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default(),
    )
}
