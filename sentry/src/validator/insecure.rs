//! Believes everybody: for machines whose every user may be anybody.

use std::net::{IpAddr, SocketAddr};

use trilby_identity::SpiffeId;
use trilby_proto::sentry::v1::SignCertificateRequest;

use super::{Denied, Verdict, check_request, kubernetes::SERVICES, trust_domain};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct InsecureValidator {
    /// The control plane's namespace, if its identities are for callers on this machine alone.
    reserved: Option<String>,
}

impl InsecureValidator {
    /// One that gives the identities of the control plane of `sentry` to callers on this machine alone.
    pub(crate) fn reserving(sentry: &SpiffeId) -> Self {
        Self {
            reserved: Some(sentry.namespace().to_owned()),
        }
    }

    pub(crate) fn validate(
        &self,
        request: &SignCertificateRequest,
        peer: Option<SocketAddr>,
    ) -> Result<Verdict, Denied> {
        check_request(request)?;
        let is_reserved = self.reserved.as_deref() == Some(request.namespace.as_str())
            && request
                .id
                .strip_prefix("dapr-")
                .is_some_and(|service| SERVICES.contains(&service));
        if is_reserved && !peer.is_some_and(is_here) {
            return Err(Denied::Reserved);
        }
        Ok(Verdict {
            trust_domain: trust_domain(&request.trust_domain)?,
            images: None,
            pod: None,
        })
    }
}

/// Whether an address is this machine's own. Loopback of IPv4 looks like IPv6 on a socket of both.
fn is_here(peer: SocketAddr) -> bool {
    match peer.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.to_canonical().is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use trilby_identity::TrustDomain;

    use super::*;

    fn request(namespace: &str, id: &str) -> SignCertificateRequest {
        SignCertificateRequest {
            id: id.to_owned(),
            namespace: namespace.to_owned(),
            certificate_signing_request: "x".into(),
            ..SignCertificateRequest::default()
        }
    }

    #[test]
    fn the_trust_domain_asked_for_is_granted() {
        let validator = InsecureValidator::default();
        let mut request = request("shop", "cart");
        let verdict = validator.validate(&request, None).unwrap();
        assert_eq!(verdict.trust_domain, TrustDomain::public());
        request.trust_domain = "spiffe://example.com/x".to_owned();
        let verdict = validator.validate(&request, None).unwrap();
        assert_eq!(verdict.trust_domain.as_str(), "example.com");
        request.trust_domain = "Not Valid".to_owned();
        let text = validator.validate(&request, None).unwrap_err().to_string();
        assert!(
            text.starts_with("failed to parse trust domain \"Not Valid\": "),
            "{text}"
        );
    }

    #[test]
    fn identities_of_the_control_plane_can_be_kept_on_this_machine() {
        let sentry: SpiffeId = "spiffe://td/ns/default/dapr-sentry".parse().unwrap();
        let (open, kept) = (
            InsecureValidator::default(),
            InsecureValidator::reserving(&sentry),
        );
        let peer = |ip: &str| Some(SocketAddr::new(ip.parse().unwrap(), 1));
        let operator = request("default", "dapr-operator");
        for (ip, allowed) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("192.0.2.1", false),
            ("::ffff:192.0.2.1", false),
        ] {
            assert!(open.validate(&operator, peer(ip)).is_ok());
            assert_eq!(kept.validate(&operator, peer(ip)).is_ok(), allowed, "{ip}");
            for other in [
                request("shop", "dapr-operator"),
                request("default", "dapr-cart"),
            ] {
                assert!(kept.validate(&other, peer(ip)).is_ok(), "{ip}");
            }
        }
        assert!(kept.validate(&operator, None).is_err());
    }
}
