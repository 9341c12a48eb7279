//! The identity of the sidecar, offered to components whose servers accept it instead of a password.

use std::fmt;

/// What proves who the sidecar is. Every call answers with what is in force at that moment: certificates and tokens are
/// renewed while a component lives, so it keeps this and not what it answered.
pub trait WorkloadIdentity: fmt::Debug + Send + Sync {
    /// The certificate and its key.
    ///
    /// # Errors
    /// There is none.
    fn x509(&self) -> Result<X509Identity, NoIdentity>;

    /// A token to show to `audience`, which has to be one of those that the sidecar asks for
    /// (`--sentry-request-jwt-audiences`), or its trust domain.
    ///
    /// # Errors
    /// There is none for it.
    fn jwt(&self, audience: &str) -> Result<JwtIdentity, NoIdentity>;
}

/// A certificate with its private key. `Debug` does not show the key.
#[derive(Clone, PartialEq, Eq)]
pub struct X509Identity {
    /// The SPIFFE ID it proves.
    pub id: String,
    /// The certificates in DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// The private key in DER (PKCS#8): a secret.
    pub key: Vec<u8>,
}

/// A JWT. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct JwtIdentity {
    /// The token: a secret.
    pub token: String,
    /// For whom it is.
    pub audiences: Vec<String>,
}

/// Why there is nothing to show; the text is upstream's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoIdentity(pub String);

impl fmt::Debug for X509Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X509Identity")
            .field("id", &self.id)
            .field("certificates", &self.chain.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for JwtIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtIdentity")
            .field("audiences", &self.audiences)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{JwtIdentity, X509Identity};

    #[test]
    fn debug_shows_neither_key_nor_token() {
        let x509 = X509Identity {
            id: "spiffe://public/ns/shop/cart".to_owned(),
            chain: Vec::new(),
            key: vec![77; 4],
        };
        let jwt = JwtIdentity {
            token: "secret".to_owned(),
            audiences: vec!["a".to_owned()],
        };
        let text = format!("{x509:?} {jwt:?}");
        assert!(
            text.contains("shop/cart") && text.contains("[\"a\"]"),
            "{text}"
        );
        assert!(!text.contains("77") && !text.contains("secret"), "{text}");
    }
}
