//! The address of this host, as others reach it.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// Addresses that are documented as unreachable: the system picks the source address that it would use for
/// the outside world, and nothing is sent.
const OUTSIDE: [(&str, &str); 2] = [
    ("0.0.0.0:0", "192.0.2.1:80"),
    ("[::]:0", "[2001:db8::1]:80"),
];

/// The address others reach this host by: as told, else the source address towards the outside world, else
/// the loopback address with a warning.
pub fn address(told: Option<IpAddr>) -> IpAddr {
    if let Some(address) = told {
        return address;
    }
    OUTSIDE
        .iter()
        .find_map(|(local, outside)| source_towards(local, outside))
        .unwrap_or_else(|| {
            tracing::warn!(
                "no address of this host is known; others cannot reach it (set DAPR_HOST_IP)"
            );
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        })
}

fn source_towards(local: &str, outside: &str) -> Option<IpAddr> {
    let socket = UdpSocket::bind(local).ok()?;
    socket.connect(outside).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified() && !is_translation_only(address)).then_some(address)
}

/// 192.0.0.0/29 belongs to address translation on the host itself.
fn is_translation_only(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if v4.octets()[..3] == [192, 0, 0] && v4.octets()[3] < 8)
}

#[cfg(test)]
mod tests {
    use super::{address, is_translation_only};

    #[test]
    fn told_address_wins() {
        assert_eq!(
            address(Some("10.1.2.3".parse().unwrap())).to_string(),
            "10.1.2.3"
        );
    }

    #[test]
    fn translation_addresses_are_skipped() {
        assert!(is_translation_only("192.0.0.7".parse().unwrap()));
        assert!(!is_translation_only("192.0.0.8".parse().unwrap()));
    }
}
