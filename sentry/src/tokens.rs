//! Tokens beside certificates: JWT SVIDs, the key that signs them, and the set of keys that verifies them.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde::Serialize;
use trilby_identity::SpiffeId;

use crate::{
    bundle::unix_seconds,
    jose::{Algorithm, KeySet, KeySetError, SigningKey, SigningKeyError, sign},
};

/// How tokens are issued, by the flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenSettings {
    pub(crate) algorithm: Algorithm,
    /// What the key is called in tokens; unset, what the set of keys calls it, else its thumbprint.
    pub(crate) key_id: Option<String>,
    /// `iss`; unset leaves it out.
    pub(crate) issuer: Option<String>,
    /// Life of a token, from the moment it is signed.
    pub(crate) ttl: Duration,
}

/// The documents as they are stored, byte for byte. `Debug` shows sizes only: one is a private key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TokenDocuments {
    /// The private key, PEM.
    pub(crate) key: Vec<u8>,
    /// The public keys, a JSON Web Key Set.
    pub(crate) jwks: Vec<u8>,
}

/// Why documents make no issuer of tokens.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenIssuerError {
    #[error("jwt.key: {0}")]
    Key(#[from] SigningKeyError),
    #[error("jwks.json: {0}")]
    KeySet(#[from] KeySetError),
    #[error("jwks.json doesn't contain a key with user-provided key ID {0:?}")]
    NoSuchKey(String),
    #[error(
        "jwks.json contains a key with user-provided key ID {0:?} but the key content doesn't match the signing key"
    )]
    OtherKey(String),
    #[error("jwks.json doesn't contain a matching public key for the JWT signing key")]
    NoMatch,
}

/// Signs tokens that the published set of keys verifies.
#[derive(Debug)]
pub(crate) struct TokenIssuer {
    key: SigningKey,
    key_id: String,
    settings: TokenSettings,
    key_set: KeySet,
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a [&'a str],
    exp: u64,
    iat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    jti: String,
    nbf: u64,
    sub: &'a str,
    /// Azure asks for it.
    r#use: &'static str,
}

// === impl TokenDocuments ===

impl TokenDocuments {
    /// A new key and the set with its public half.
    pub(crate) fn generate(settings: &TokenSettings) -> Result<Self, SigningKeyError> {
        let algorithm = settings.algorithm;
        let pem = SigningKey::generate(algorithm)?;
        let public = SigningKey::from_pem(pem.as_bytes())?.public().clone();
        let id = settings
            .key_id
            .clone()
            .unwrap_or_else(|| public.thumbprint());
        let jwks = KeySet::single(public, &id, algorithm).to_json();
        Ok(Self {
            key: pem.into_bytes(),
            jwks: jwks.into_bytes(),
        })
    }

    /// The public keys, and nothing else that may stand in the document; `None` if it is no set of keys.
    pub(crate) fn public(&self) -> Option<String> {
        let set = KeySet::parse(&self.jwks).ok()?;
        Some(set.to_json())
    }
}

impl fmt::Debug for TokenDocuments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenDocuments(jwks: {} bytes)", self.jwks.len())
    }
}

// === impl TokenIssuer ===

impl TokenIssuer {
    /// Checks that the documents fit together and to the settings.
    pub(crate) fn new(
        documents: &TokenDocuments,
        settings: &TokenSettings,
    ) -> Result<Self, TokenIssuerError> {
        let key = SigningKey::from_pem(&documents.key)?;
        key.check(settings.algorithm)?;
        let mut key_set = KeySet::parse(&documents.jwks)?;
        let at = position(&key, &key_set, settings.key_id.as_deref())?;
        let published = &key_set.keys()[at];
        if !published.is_for(settings.algorithm) {
            tracing::warn!(
                algorithm = %settings.algorithm,
                published = published.algorithm(),
                "tokens are signed with another algorithm than the key set announces: verifiers may refuse them"
            );
        }
        let own = published.id().map(str::to_owned);
        let key_id = own.unwrap_or_else(|| key.public().thumbprint());
        key_set.call(at, &key_id);
        Ok(Self {
            key,
            key_id,
            settings: settings.clone(),
            key_set,
        })
    }

    /// A token that tells `audiences` that its bearer is `id`.
    pub(crate) fn issue(
        &self,
        id: &SpiffeId,
        audiences: &[&str],
        (now, clock_skew): (SystemTime, Duration),
    ) -> Result<String, SigningKeyError> {
        let unique: [u8; 16] = rand::random();
        let claims = Claims {
            aud: audiences,
            exp: unix_seconds(now + self.settings.ttl),
            iat: unix_seconds(now),
            iss: self.settings.issuer.as_deref(),
            jti: unique.iter().map(|byte| format!("{byte:02x}")).collect(),
            nbf: unix_seconds(now - clock_skew),
            sub: id.as_str(),
            r#use: "sig",
        };
        sign(&claims, (&self.key, &self.key_id, self.settings.algorithm))
    }

    /// The keys to publish, without anything private.
    pub(crate) fn key_set(&self) -> &KeySet {
        &self.key_set
    }
}

/// The place of the key's public half in the set.
fn position(
    key: &SigningKey,
    set: &KeySet,
    key_id: Option<&str>,
) -> Result<usize, TokenIssuerError> {
    let keys = || set.keys().iter().enumerate();
    let Some(id) = key_id else {
        let own = || keys().filter(|(_, published)| published.public == *key.public());
        let named = own().find(|(_, published)| published.id().is_some());
        let found = named.or_else(|| own().next()).map(|(at, _)| at);
        return found.ok_or(TokenIssuerError::NoMatch);
    };
    let mut called = keys()
        .filter(|(_, published)| published.id() == Some(id))
        .peekable();
    if called.peek().is_none() {
        return Err(TokenIssuerError::NoSuchKey(id.to_owned()));
    }
    let own = called.find(|(_, published)| published.public == *key.public());
    own.map(|(at, _)| at)
        .ok_or_else(|| TokenIssuerError::OtherKey(id.to_owned()))
}

#[cfg(test)]
mod tests;
