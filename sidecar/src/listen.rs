//! Sockets of the sidecar's servers.

mod unix;

use std::io;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::net::TcpListener;
use tokio::time::Instant;
use trilby_bootstrap::net::{hostname, listen_async};
use trilby_bootstrap::user_id;

pub use unix::{SocketFile, listen_unix};

/// How long a port that is taken is waited for; a sidecar that is just being replaced still holds it.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first pause between two attempts; it grows up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// The first port of those that are derived from the application.
const STABLE_PORTS: u16 = 47300;

/// Listens on a port of every address, or of all interfaces when none is given. One address that works is
/// enough; the others are logged.
///
/// # Errors
/// No address could be listened on within some seconds.
pub async fn listen_all(addresses: &[String], port: u16) -> io::Result<Vec<TcpListener>> {
    let every = [String::new()];
    let addresses = if addresses.is_empty() {
        &every
    } else {
        addresses
    };
    let mut listeners = Vec::new();
    let mut last = None;
    for address in addresses {
        match listen_patiently(address, port).await {
            Ok(listener) => listeners.push(listener),
            Err(error) => {
                tracing::warn!(%error, "address cannot be listened on");
                last = Some(error);
            }
        }
    }
    match last {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

async fn listen_patiently(address: &str, port: u16) -> io::Result<TcpListener> {
    let until = Instant::now() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    loop {
        match listen_async(address, port) {
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse && Instant::now() + pause < until =>
            {
                tokio::time::sleep(pause).await;
                pause = LAST_PAUSE.min(pause * 2);
            }
            result => return result,
        }
    }
}

/// Listens for other sidecars. Without a port, one is derived from the application, so that it is the same
/// after a restart; if that is taken, any.
///
/// # Errors
/// The given port is taken.
pub fn listen_internal(address: &str, port: u16, app_id: &str) -> io::Result<TcpListener> {
    if port != 0 {
        return listen_async(address, port);
    }
    listen_async(address, stable_port(&seed(app_id))).or_else(|_| listen_async(address, 0))
}

fn seed(app_id: &str) -> String {
    let folder = std::env::current_dir()
        .map(|folder| folder.display().to_string())
        .unwrap_or_default();
    format!(
        "{app_id}|{folder}|{}|{}",
        user_id().unwrap_or_default(),
        hostname()
    )
}

fn stable_port(seed: &str) -> u16 {
    let hash = digest(&SHA256, seed.as_bytes());
    let number = u16::from_le_bytes([hash.as_ref()[0], hash.as_ref()[1]]);
    STABLE_PORTS + number % (u16::MAX - STABLE_PORTS)
}

#[cfg(test)]
mod tests {
    use super::{STABLE_PORTS, listen_all, listen_internal, stable_port};

    #[test]
    fn port_is_stable_and_in_range() {
        let port = stable_port("a|/|0|host");
        assert_eq!(port, stable_port("a|/|0|host"));
        assert_ne!(port, stable_port("b|/|0|host"));
        assert!(port >= STABLE_PORTS);
    }

    #[tokio::test]
    async fn taken_stable_port_gives_another() {
        let first = listen_internal("127.0.0.1", 0, "twin").unwrap();
        let second = listen_internal("127.0.0.1", 0, "twin").unwrap();
        assert_ne!(first.local_addr().unwrap(), second.local_addr().unwrap());
    }

    #[tokio::test]
    async fn one_address_that_works_is_enough() {
        let addresses = ["127.0.0.1".to_owned(), "192.0.2.1".to_owned()];
        assert_eq!(listen_all(&addresses, 0).await.unwrap().len(), 1);
        assert!(listen_all(&addresses[1..], 0).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn taken_port_is_waited_for_and_then_named() {
        let taken = listen_all(&["127.0.0.1".to_owned()], 0).await.unwrap();
        let port = taken[0].local_addr().unwrap().port();
        let error = listen_all(&["127.0.0.1".to_owned()], port)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(&port.to_string()), "{error}");
    }
}
