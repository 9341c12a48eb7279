//! The sockets: one for each interface and family, so that an answer goes where the question came from.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;

/// The port of multicast DNS.
const PORT: u16 = 5353;
/// Its group in IPv4.
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
/// Its group in IPv6.
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
/// Links at most; a machine with more interfaces is found on the first ones.
const MOST_LINKS: usize = 16;

/// How far a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To everyone on the link.
    Link,
    /// To this host: what it says is of no use elsewhere.
    Host,
}

impl Reach {
    /// The hops that a packet may take.
    fn hops(self) -> u32 {
        match self {
            Self::Link => 255,
            Self::Host => 0,
        }
    }
}

/// One interface, in one family.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    index: u32,
    address: IpAddr,
}

/// An open socket of one place.
#[derive(Debug)]
pub(crate) struct Link {
    socket: UdpSocket,
    group: SocketAddr,
    /// How far the socket sends at the moment.
    reach: Mutex<Reach>,
}

/// All links, by place.
pub(crate) type Links = BTreeMap<Place, Arc<Link>>;

/// Where this host can be heard: loopback, and every interface that has an address for others. `only` names the
/// interfaces to use; empty is all of them.
///
/// # Errors
/// The system does not tell its interfaces.
pub(crate) fn places(only: &[String]) -> io::Result<Vec<Place>> {
    let mut places: BTreeMap<(u32, bool), Place> = BTreeMap::new();
    for interface in if_addrs::get_if_addrs()? {
        let address = interface.ip();
        let named = only.is_empty() || only.contains(&interface.name);
        let Some(index) = interface.index.filter(|_| named && is_heard(address)) else {
            continue;
        };
        let place = Place { index, address };
        places.entry((index, address.is_ipv4())).or_insert(place);
    }
    Ok(places.into_values().take(MOST_LINKS).collect())
}

/// IPv6 of the link alone would double what IPv4 says, on every virtual interface there is; loopback is heard in
/// IPv4.
fn is_heard(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => !address.is_unicast_link_local() && !address.is_loopback(),
    }
}

/// The links of `places`; those of `before` stay open. A place that cannot be opened is left out.
///
/// # Errors
/// None can be opened: the error of the last one.
pub(crate) fn open(places: Vec<Place>, before: &Links) -> io::Result<Links> {
    let mut links = Links::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no interface has an address");
    for place in places {
        let opened = match before.get(&place) {
            Some(link) => Ok(Arc::clone(link)),
            None => Link::open(&place).map(Arc::new),
        };
        match opened {
            Ok(link) => drop(links.insert(place, link)),
            Err(error) => {
                tracing::debug!(?place, %error, "not heard on an interface");
                last = error;
            }
        }
    }
    if links.is_empty() {
        Err(last)
    } else {
        Ok(links)
    }
}

impl Link {
    fn open(place: &Place) -> io::Result<Self> {
        let socket = match place.address {
            IpAddr::V4(address) => socket_v4(place.index, address)?,
            IpAddr::V6(_) => socket_v6(place.index)?,
        };
        let group = match place.address {
            IpAddr::V4(_) => IpAddr::V4(GROUP_V4),
            IpAddr::V6(_) => IpAddr::V6(GROUP_V6),
        };
        socket.set_nonblocking(true)?;
        let link = Self {
            socket: UdpSocket::from_std(socket.into())?,
            group: SocketAddr::new(group, PORT),
            reach: Mutex::new(Reach::Link),
        };
        link.set_reach(Reach::Link)?;
        Ok(link)
    }

    /// Sends to the group. What the system has no room for is lost, as any packet may be.
    pub(crate) fn send(&self, bytes: &[u8], reach: Reach) {
        self.send_to(bytes, self.group, reach);
    }

    /// Sends to one asker.
    pub(crate) fn send_to(&self, bytes: &[u8], target: SocketAddr, reach: Reach) {
        let mut current = self.reach.lock();
        let sent = if *current == reach {
            Ok(())
        } else {
            self.set_reach(reach).inspect(|()| *current = reach)
        };
        let sent = sent.and_then(|()| self.socket.try_send_to(bytes, target));
        if let Err(error) = sent {
            tracing::debug!(%error, "multicast DNS message not sent");
        }
    }

    /// The next message, and its sender.
    pub(crate) async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.recv_from(buffer).await
    }

    fn set_reach(&self, reach: Reach) -> io::Result<()> {
        let socket = SockRef::from(&self.socket);
        match self.group {
            SocketAddr::V4(_) => socket.set_multicast_ttl_v4(reach.hops()),
            SocketAddr::V6(_) => socket.set_multicast_hops_v6(reach.hops()),
        }
    }
}

fn socket_v4(index: u32, address: Ipv4Addr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    share(&socket)?;
    #[cfg(target_os = "linux")]
    socket.set_multicast_all_v4(false)?;
    socket.bind(&SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT).into())?;
    socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(index))?;
    socket.set_multicast_if_v4(&address)?;
    Ok(socket)
}

fn socket_v6(index: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_only_v6(true)?;
    share(&socket)?;
    #[cfg(target_os = "linux")]
    socket.set_multicast_all_v6(false)?;
    socket.bind(&SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), PORT).into())?;
    socket.join_multicast_v6(&GROUP_V6, index)?;
    socket.set_multicast_if_v6(index)?;
    Ok(socket)
}

/// Every program of this host that speaks multicast DNS listens on the same port.
fn share(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    #[cfg(not(target_os = "linux"))]
    socket.set_reuse_port(true)?;
    Ok(())
}
