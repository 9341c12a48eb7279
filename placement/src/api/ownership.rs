//! Whether a host's address is its own.
//!
//! Callers go to the address that a host reports. A host that reports another's would draw that one's
//! calls to itself, or away from it; its certificate proves the app, not the address.

use std::net::{IpAddr, SocketAddr};

use tonic::Status;
use tracing::warn;
use trilby_proto::placement::v1::Host;

use crate::{config::AddressCheck, metrics::Metrics};

/// The check of one stream.
#[derive(Debug)]
pub(crate) struct Ownership {
    policy: AddressCheck,
    peer: Option<IpAddr>,
    metrics: Metrics,
    /// The last address that was found to be another's: reported once.
    foreign: Option<String>,
}

// === impl Ownership ===

impl Ownership {
    /// A check of what is reported from `peer`. Without a peer address there is nothing to compare.
    pub(crate) fn new(policy: AddressCheck, peer: Option<SocketAddr>, metrics: Metrics) -> Self {
        Self {
            policy,
            peer: peer.map(|peer| peer.ip().to_canonical()),
            metrics,
            foreign: None,
        }
    }

    /// Compares the address that a message claims with where it came from.
    ///
    /// # Errors
    /// The status with which the stream ends, if that is the policy.
    pub(crate) fn check(&mut self, host: &Host) -> Result<(), Status> {
        let Some(peer) = self.peer.filter(|_| self.policy != AddressCheck::Off) else {
            return Ok(());
        };
        // Acknowledgements and beats name no address.
        let foreign = !host.name.is_empty() && !is_own(&host.name, peer);
        if !foreign || self.foreign.as_ref() == Some(&host.name) {
            return Ok(());
        }
        self.foreign = Some(host.name.clone());
        self.metrics.foreign_address(&host.namespace);
        if self.policy == AddressCheck::Refuse {
            let name = &host.name;
            let text = format!("host address {name} is not the address of the caller ({peer})");
            return Err(Status::permission_denied(text));
        }
        warn!(
            namespace = host.namespace,
            app_id = host.id,
            host = host.name,
            %peer,
            "a host claims an address that it does not call from; --host-address-check=refuse refuses such hosts"
        );
        Ok(())
    }
}

/// A caller from loopback runs on this machine, all of whose addresses are its own. A name that is no
/// address cannot be compared, and is never reported by sidecars.
fn is_own(name: &str, peer: IpAddr) -> bool {
    let host = name.rsplit_once(':').map_or(name, |(host, _)| host);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let claimed = bare.parse::<IpAddr>().map(|ip| ip.to_canonical());
    peer.is_loopback() || claimed.is_ok_and(|claimed| claimed == peer)
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn ownership(policy: AddressCheck, peer: &str) -> (Ownership, prometheus::Registry) {
        let registry = prometheus::Registry::new();
        let metrics = Metrics::register(&registry).expect("fresh");
        let peer = peer.parse().expect("an address");
        (Ownership::new(policy, Some(peer), metrics), registry)
    }

    fn host(name: &str) -> Host {
        Host {
            name: name.into(),
            namespace: "n".into(),
            ..Host::default()
        }
    }

    fn counted(registry: &prometheus::Registry) -> bool {
        let families = registry.gather();
        let name = "dapr_placement_foreign_addresses_total";
        let family = families.iter().find(|family| family.name() == name);
        family.is_some_and(|family| !family.get_metric().is_empty())
    }

    #[test]
    fn the_own_address_is_fine_in_every_spelling() {
        for (peer, name) in [
            ("10.0.0.1:3", "10.0.0.1:50002"),
            ("[::ffff:10.0.0.1]:3", "10.0.0.1:50002"),
            ("[fd00::1]:3", "[fd00:0::1]:50002"),
            ("127.0.0.1:3", "192.168.0.7:50002"),
        ] {
            let (mut it, registry) = ownership(AddressCheck::Refuse, peer);
            assert!(it.check(&host(name)).is_ok(), "{peer} {name}");
            assert!(!counted(&registry));
        }
    }

    #[test]
    fn another_address_is_counted_and_refused_if_so_chosen() {
        for (policy, refused) in [(AddressCheck::Warn, false), (AddressCheck::Refuse, true)] {
            let (mut it, registry) = ownership(policy, "10.0.0.1:3");
            let outcome = it.check(&host("10.0.0.2:50002"));
            assert_eq!(outcome.is_err(), refused);
            assert!(counted(&registry));
            if let Err(status) = outcome {
                assert_eq!(status.code(), Code::PermissionDenied);
                assert_eq!(
                    status.message(),
                    "host address 10.0.0.2:50002 is not the address of the caller (10.0.0.1)"
                );
            }
        }
        let (mut it, registry) = ownership(AddressCheck::Off, "10.0.0.1:3");
        assert!(it.check(&host("10.0.0.2:50002")).is_ok());
        assert!(!counted(&registry));
    }

    #[test]
    fn messages_without_an_address_are_not_compared() {
        let (mut it, _) = ownership(AddressCheck::Refuse, "10.0.0.1:3");
        assert!(it.check(&host("")).is_ok());
    }
}
