//! The level of a log, changed while the process runs: by SIGUSR1, or by a request from this machine.

use std::{io, net::SocketAddr, sync::Arc};

use hyper::{Method, StatusCode};
use parking_lot::Mutex;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, level_filters::LevelFilter};
use tracing_subscriber::{Registry, filter::Targets, reload};

use super::{LogError, level, targets};

/// Where changes are logged.
pub(super) const TARGET: &str = "dapr.log";

/// What a request begins with that sets the level: `PUT /log-level/debug`.
pub const PATH: &str = "/log-level/";

/// Changes the level of a running process. Cheap to clone.
#[derive(Clone)]
pub struct LogHandle {
    filter: reload::Handle<Targets, Registry>,
    /// What the flags say.
    configured: LevelFilter,
    current: Arc<Mutex<LevelFilter>>,
}

impl LogHandle {
    pub(super) fn new(filter: reload::Handle<Targets, Registry>, level: LevelFilter) -> Self {
        Self {
            filter,
            configured: level,
            current: Arc::new(Mutex::new(level)),
        }
    }

    /// Writes from `level` on: `debug`, `info`, `warn`, `error` or `fatal`.
    ///
    /// # Errors
    /// An unknown level.
    pub fn set_level(&self, text: &str) -> Result<(), LogError> {
        let level = level(text).ok_or_else(|| LogError::Level(text.to_owned()))?;
        self.set(&mut self.current.lock(), level);
        Ok(())
    }

    /// The status and text for a request that sets `level`. Only clients whose address is a loopback one may: those on
    /// this machine or in this pod, and through them who may forward a port of it.
    #[must_use]
    pub fn answer(&self, method: &Method, level: &str, client: SocketAddr) -> (StatusCode, String) {
        if !client.ip().to_canonical().is_loopback() {
            let text = "the log level is set from this machine only\n";
            return (StatusCode::FORBIDDEN, text.to_owned());
        }
        if method != Method::PUT {
            return (StatusCode::METHOD_NOT_ALLOWED, "use PUT\n".to_owned());
        }
        match self.set_level(level) {
            Ok(()) => (StatusCode::OK, String::new()),
            Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
        }
    }

    /// To `debug`; from there back to the level of the flags, which is `info` if that is `debug` itself.
    fn toggle(&self) {
        let mut current = self.current.lock();
        let next = match *current {
            LevelFilter::DEBUG if self.configured == LevelFilter::DEBUG => LevelFilter::INFO,
            LevelFilter::DEBUG => self.configured,
            _ => LevelFilter::DEBUG,
        };
        self.set(&mut current, next);
    }

    fn set(&self, current: &mut LevelFilter, level: LevelFilter) {
        // The only failure is that the subscriber is gone, and then there is no log to change.
        drop(self.filter.reload(targets(level)));
        info!(target: TARGET, from = %current, to = %level, "log level changed");
        *current = level;
    }
}

/// Toggles the level at each SIGUSR1, until `shutdown`.
///
/// # Errors
/// The operating system refuses to listen; the signal then ends the process.
pub(crate) fn follow_signal(log: LogHandle, shutdown: CancellationToken) -> io::Result<()> {
    let mut signals = signal(SignalKind::user_defined1())?;
    tokio::spawn(shutdown.run_until_cancelled_owned(async move {
        while signals.recv().await.is_some() {
            log.toggle();
        }
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use hyper::{Method, StatusCode};
    use tracing::level_filters::LevelFilter;
    use tracing_subscriber::{Registry, filter::Targets, reload};

    use super::LogHandle;
    use crate::log::targets;

    fn handle(level: LevelFilter) -> (reload::Layer<Targets, Registry>, LogHandle) {
        let (layer, filter) = reload::Layer::new(targets(level));
        (layer, LogHandle::new(filter, level))
    }

    #[test]
    fn a_signal_leads_to_debug_and_back() {
        for (configured, after) in [
            (LevelFilter::ERROR, [LevelFilter::DEBUG, LevelFilter::ERROR]),
            (LevelFilter::DEBUG, [LevelFilter::INFO, LevelFilter::DEBUG]),
        ] {
            let (_layer, log) = handle(configured);
            for level in after {
                log.toggle();
                assert_eq!(*log.current.lock(), level);
            }
        }
    }

    #[test]
    fn only_clients_on_this_machine_set_the_level() {
        let (layer, log) = handle(LevelFilter::INFO);
        let ask =
            |method, level, client: &str| log.answer(&method, level, client.parse().unwrap()).0;
        assert_eq!(
            ask(Method::PUT, "debug", "10.0.0.1:9"),
            StatusCode::FORBIDDEN
        );
        assert_eq!(
            ask(Method::PUT, "debug", "[2001:db8::1]:9"),
            StatusCode::FORBIDDEN
        );
        assert_eq!(
            ask(Method::GET, "debug", "127.0.0.1:9"),
            StatusCode::METHOD_NOT_ALLOWED
        );
        assert_eq!(ask(Method::PUT, "loud", "[::1]:9"), StatusCode::BAD_REQUEST);
        assert_eq!(*log.current.lock(), LevelFilter::INFO);
        assert_eq!(
            ask(Method::PUT, "debug", "[::ffff:127.0.0.1]:9"),
            StatusCode::OK
        );
        assert_eq!(*log.current.lock(), LevelFilter::DEBUG);
        drop(layer);
    }
}
