//! Ports of loopback that no two tests share.
//!
//! A port is claimed by binding an abstract Unix socket named for it: the claim holds between processes, lives in the
//! same network namespace as the port, and ends with its holder however that ends. Claims are taken below the range
//! from which the kernel serves `bind(0)` and outgoing connections, so a claimed port that is not yet, or no longer,
//! listened on stays free: a server can be stopped and started again on it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};
use std::sync::atomic::{AtomicU16, Ordering};

/// First port handed out; below it live the well-known ports of other servers.
const FIRST: u16 = 20_000;
/// How many ports are handed out. The kernel's own range starts at 32768 unless configured otherwise.
const COUNT: u16 = 12_000;

/// A claimed port. Nobody else gets it while this value lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _claim: UnixDatagram,
}

impl Port {
    /// Claims a port that nothing listens on.
    ///
    /// # Panics
    /// If every port of the range is taken.
    pub fn free() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Processes start at different places, so that they seldom try each other's ports.
        let spread = (std::process::id() % u32::from(COUNT)) as u16;
        for _ in 0..COUNT {
            let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
            let number = FIRST + (spread.wrapping_mul(37) % COUNT + step) % COUNT;
            if let Some(port) = Self::claim(number) {
                return port;
            }
        }
        panic!("no free port between {FIRST} and {}", FIRST + COUNT);
    }

    fn claim(number: u16) -> Option<Self> {
        let name = UnixAddr::from_abstract_name(format!("trilby-test-port-{number}")).ok()?;
        let claim = UnixDatagram::bind_addr(&name).ok()?;
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, number)).ok()?;
        Some(Self {
            number,
            _claim: claim,
        })
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The port on 127.0.0.1.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_handed_out_twice() {
        let held: Vec<Port> = (0..50).map(|_| Port::free()).collect();
        let mut numbers: Vec<u16> = held.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 50);
    }

    #[test]
    fn a_claimed_port_cannot_be_claimed_again_until_dropped() {
        let port = Port::free();
        let number = port.number();
        assert!(Port::claim(number).is_none());
        drop(port);
        assert!(Port::claim(number).is_some());
    }

    #[test]
    fn a_port_with_a_listener_is_not_handed_out() {
        let port = Port::free();
        let number = port.number();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).unwrap();
        drop(port);
        assert!(Port::claim(number).is_none());
        drop(listener);
    }
}
