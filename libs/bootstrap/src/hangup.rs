//! SIGHUP, which asks a process to read its settings again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Hangups of this process. While one of these is there, SIGHUP does not end the process.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// Listens from now on.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Returns at the next hangup; several at once count as one.
    ///
    /// # Cancel safety
    /// A hangup that was not returned is returned by the next call.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
