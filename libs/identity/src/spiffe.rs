//! SPIFFE names as Dapr uses them: `spiffe://<trust domain>/ns/<namespace>/<app id>`.

use std::{fmt, str::FromStr, sync::Arc};

const SCHEME: &str = "spiffe://";

/// The longest trust domain that SPIFFE allows, in bytes.
const MAX_TRUST_DOMAIN: usize = 255;

/// Why a text is no trust domain or no SPIFFE ID of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeIdError {
    /// Nothing before the path.
    #[error("trust domain is missing")]
    TrustDomainMissing,
    /// Not made of the characters that SPIFFE allows, or too long.
    #[error(
        "invalid trust domain {0:?}: only lowercase letters, numbers, dots, dashes, and \
         underscores are allowed, at most 255 of them"
    )]
    TrustDomain(String),
    /// A namespace or app ID which cannot be a path segment.
    #[error(
        "invalid SPIFFE path segment {0:?}: only letters, numbers, dots, dashes, and underscores \
         are allowed, and it is neither empty, nor \".\" nor \"..\""
    )]
    Segment(String),
    /// Not `spiffe://<trust domain>/ns/<namespace>/<app id>`.
    #[error("malformed SPIFFE ID: {0}")]
    Malformed(String),
}

/// A SPIFFE trust domain: the part of an identity that says which authority vouches for it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustDomain(Arc<str>);

/// The identity of a workload. Cheap to clone; two are equal when every character is.
///
/// Segments after the app ID are tolerated when a peer's identity is read, and take part in equality.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    uri: Arc<str>,
    namespace_start: usize,
    app_id_start: usize,
    app_id_end: usize,
}

// === impl TrustDomain ===

impl TrustDomain {
    /// Upstream's domain for applications whose Configuration names none.
    pub const PUBLIC: &str = "public";

    /// Reads a trust domain, or takes it out of a `spiffe://` URI.
    ///
    /// # Errors
    /// When it is empty, too long, or has a character that SPIFFE does not allow.
    pub fn parse(text: &str) -> Result<Self, SpiffeIdError> {
        let name = match text.strip_prefix(SCHEME) {
            Some(rest) => rest.split_once('/').map_or(rest, |(name, _)| name),
            None => text,
        };
        check_trust_domain(name)?;
        Ok(Self(name.into()))
    }

    /// Upstream's domain for applications whose Configuration names none.
    #[must_use]
    pub fn public() -> Self {
        Self(Self::PUBLIC.into())
    }

    /// Its name, without a scheme.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TrustDomain {
    type Err = SpiffeIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

// === impl SpiffeId ===

impl SpiffeId {
    /// The identity of application (or service) `app_id` in `namespace`.
    ///
    /// # Errors
    /// When either name cannot be a path segment.
    pub fn new(
        trust_domain: &TrustDomain,
        namespace: &str,
        app_id: &str,
    ) -> Result<Self, SpiffeIdError> {
        check_segment(namespace)?;
        check_segment(app_id)?;
        let namespace_start = SCHEME.len() + trust_domain.0.len() + "/ns/".len();
        let app_id_start = namespace_start + namespace.len() + 1;
        Ok(Self {
            uri: format!("{SCHEME}{trust_domain}/ns/{namespace}/{app_id}").into(),
            namespace_start,
            app_id_start,
            app_id_end: app_id_start + app_id.len(),
        })
    }

    /// The whole URI.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.uri
    }

    /// Who vouches for it.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        &self.uri[SCHEME.len()..self.namespace_start - "/ns/".len()]
    }

    /// The Kubernetes namespace, or its stand-in elsewhere.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.uri[self.namespace_start..self.app_id_start - 1]
    }

    /// The Dapr app ID, or `dapr-<service>` of the control plane.
    #[must_use]
    pub fn app_id(&self) -> &str {
        &self.uri[self.app_id_start..self.app_id_end]
    }

    /// Whether the path is exactly `/ns/<namespace>/<app id>`, in whatever trust domain.
    #[must_use]
    pub fn is_workload(&self, namespace: &str, app_id: &str) -> bool {
        self.app_id_end == self.uri.len()
            && self.namespace() == namespace
            && self.app_id() == app_id
    }
}

impl FromStr for SpiffeId {
    type Err = SpiffeIdError;

    fn from_str(uri: &str) -> Result<Self, Self::Err> {
        let malformed = || SpiffeIdError::Malformed(uri.to_owned());
        let rest = uri.strip_prefix(SCHEME).ok_or_else(malformed)?;
        let mut segments = rest.split('/');
        let trust_domain = segments.next().unwrap_or_default();
        check_trust_domain(trust_domain)?;
        let (Some("ns"), Some(namespace), Some(app_id)) =
            (segments.next(), segments.next(), segments.next())
        else {
            return Err(malformed());
        };
        for segment in [namespace, app_id].into_iter().chain(segments) {
            check_segment(segment).map_err(|_| malformed())?;
        }
        let namespace_start = SCHEME.len() + trust_domain.len() + "/ns/".len();
        let app_id_start = namespace_start + namespace.len() + 1;
        Ok(Self {
            uri: uri.into(),
            namespace_start,
            app_id_start,
            app_id_end: app_id_start + app_id.len(),
        })
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.uri, f)
    }
}

fn check_trust_domain(name: &str) -> Result<(), SpiffeIdError> {
    if name.is_empty() {
        return Err(SpiffeIdError::TrustDomainMissing);
    }
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    if name.len() > MAX_TRUST_DOMAIN || !name.bytes().all(allowed) {
        return Err(SpiffeIdError::TrustDomain(name.to_owned()));
    }
    Ok(())
}

fn check_segment(segment: &str) -> Result<(), SpiffeIdError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if segment.is_empty() || segment == "." || segment == ".." || !segment.bytes().all(allowed) {
        return Err(SpiffeIdError::Segment(segment.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn parts_are_read_back() {
        let id: SpiffeId = "spiffe://public/ns/shop/cart".parse().unwrap();
        assert_eq!(
            (id.trust_domain(), id.namespace(), id.app_id()),
            ("public", "shop", "cart")
        );
        assert!(id.is_workload("shop", "cart"));
        let built = SpiffeId::new(&TrustDomain::public(), "shop", "cart").unwrap();
        assert_eq!(id, built);
    }

    #[test]
    fn further_segments_are_read_but_are_another_identity() {
        let id: SpiffeId = "spiffe://td/ns/shop/cart/v2".parse().unwrap();
        assert_eq!(id.app_id(), "cart");
        assert!(!id.is_workload("shop", "cart"));
        assert_ne!(id, "spiffe://td/ns/shop/cart".parse().unwrap());
    }

    #[test]
    fn other_shapes_are_refused() {
        for text in [
            "",
            "spiffe://",
            "https://td/ns/a/b",
            "SPIFFE://td/ns/a/b",
            "spiffe://td/ns/a",
            "spiffe://td/sa/a/b",
            "spiffe://td/ns//b",
            "spiffe://td/ns/a/",
            "spiffe://td/ns/a/..",
            "spiffe://td/ns/a/b c",
            "spiffe://TD/ns/a/b",
            "spiffe://td/ns/a/b/",
        ] {
            assert!(text.parse::<SpiffeId>().is_err(), "{text}");
        }
        assert_eq!(
            "spiffe://td/x".parse::<SpiffeId>().unwrap_err().to_string(),
            "malformed SPIFFE ID: spiffe://td/x"
        );
    }

    #[test]
    fn a_trust_domain_may_be_given_as_uri() {
        assert_eq!(
            TrustDomain::parse("spiffe://cluster.local/x")
                .unwrap()
                .as_str(),
            "cluster.local"
        );
        assert!(TrustDomain::parse("Cluster.local").is_err());
        assert!(TrustDomain::parse(&"a".repeat(256)).is_err());
    }

    proptest! {
        #[test]
        fn display_round_trips(td in "[a-z0-9._-]{1,20}", ns in "[a-z0-9-]{1,20}", app in "[A-Za-z0-9_-]{1,20}") {
            let id = SpiffeId::new(&TrustDomain::parse(&td).unwrap(), &ns, &app).unwrap();
            let back: SpiffeId = id.to_string().parse().unwrap();
            prop_assert_eq!(back.trust_domain(), td.as_str());
            prop_assert_eq!(back, id);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ignored = text.parse::<SpiffeId>();
            let _ignored = TrustDomain::parse(&text);
        }
    }
}
