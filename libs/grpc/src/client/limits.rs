//! Limits of a channel, and how a server that vanished is noticed.

use std::time::Duration;

use tokio::net::TcpStream;

/// Silence after which the kernel asks; how often it asks again, and how often in all.
const PROBE_AFTER: Duration = Duration::from_secs(10);
const PROBE_AGAIN_AFTER: Duration = Duration::from_secs(2);
const PROBES: u32 = 3;

/// Limits of a channel.
#[derive(Debug, Clone, Copy)]
pub struct ChannelConfig {
    /// How long resolving, connecting and the TLS handshake may take together.
    pub connect_timeout: Duration,
    /// How a server that vanished is noticed.
    pub liveness: Liveness,
}

/// How a client notices that nobody is at the other end any more, with or without open calls.
#[derive(Debug, Clone, Copy)]
pub enum Liveness {
    /// The kernels ask each other: a machine that is gone is noticed within 16 s, a process that hangs is not. Every server
    /// puts up with it.
    Probes,
    /// The server is asked, over HTTP/2. For servers that are known to allow it: gRPC for Go, unless told otherwise, ends a
    /// connection that is asked more often than every 5 minutes.
    Pings {
        /// How often.
        interval: Duration,
        /// How long the answer may take.
        timeout: Duration,
    },
}

impl Default for ChannelConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            liveness: Liveness::Probes,
        }
    }
}

/// Has the kernel ask whether the other machine is still there.
pub(super) fn probe(stream: &TcpStream) -> std::io::Result<()> {
    let socket = socket2::SockRef::from(stream);
    let probes = socket2::TcpKeepalive::new()
        .with_time(PROBE_AFTER)
        .with_interval(PROBE_AGAIN_AFTER)
        .with_retries(PROBES);
    socket.set_tcp_keepalive(&probes)?;
    // What was sent and not taken is no reason for probes: it has a limit of its own.
    socket.set_tcp_user_timeout(Some(PROBE_AFTER + PROBE_AGAIN_AFTER * PROBES))
}
