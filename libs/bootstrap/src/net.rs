//! Listening sockets, named the way upstream's flags name them, and the name of this machine.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
};

/// Listens on `address:port`, where an empty address means every interface of both IP versions.
/// The socket is non-blocking, ready for `tokio::net::TcpListener::from_std`.
///
/// # Errors
/// An address that is not an IP address, or that the system refuses to listen on; the message says which.
pub fn listen(address: &str, port: u16) -> io::Result<TcpListener> {
    let listener = match address {
        "" => TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
            .or_else(|_no_ipv6| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))),
        address => TcpListener::bind(SocketAddr::new(ip(address)?, port)),
    }
    .map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot listen on \"{address}:{port}\": {error}"),
        )
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// [`listen`], registered with the running tokio runtime.
///
/// # Errors
/// As [`listen`].
pub fn listen_async(address: &str, port: u16) -> io::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::from_std(listen(address, port)?)
}

fn ip(address: &str) -> io::Result<std::net::IpAddr> {
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    let bare = if bare == "localhost" {
        "127.0.0.1"
    } else {
        bare
    };
    bare.parse().map_err(|_not_an_ip| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("listen address {address:?} is not an IP address"),
        )
    })
}

/// This machine's (in Kubernetes: this pod's) name; `localhost` if the system does not tell.
#[must_use]
pub fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::listen;

    #[test]
    fn an_empty_address_listens_for_ipv4_too() {
        let listener = listen("", 0).expect("listens");
        let port = listener.local_addr().expect("bound").port();
        std::net::TcpStream::connect(("127.0.0.1", port)).expect("reachable");
    }

    #[test]
    fn a_bad_address_is_named() {
        let error = listen("not-an-ip", 0).expect_err("refused").to_string();
        assert_eq!(error, "listen address \"not-an-ip\" is not an IP address");
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = listen("127.0.0.1", 0).expect("listens");
        let port = taken.local_addr().expect("bound").port();
        let error = listen("127.0.0.1", port).expect_err("taken").to_string();
        assert!(error.contains(&format!("127.0.0.1:{port}")), "{error}");
    }
}
