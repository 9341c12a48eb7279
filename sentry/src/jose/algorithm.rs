//! How tokens are signed.

use std::{fmt, str::FromStr};

/// A signature algorithm, by its name in RFC 7518 and RFC 8037.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

/// The kinds of keys that algorithms need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Rsa,
    P256,
    P384,
    P521,
    Ed25519,
}

/// A name that is no algorithm's, or one's that is not supported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unsupported signature algorithm: {0}")]
pub(crate) struct UnknownAlgorithm(String);

const NAMES: [(Algorithm, &str, KeyKind); 10] = [
    (Algorithm::Rs256, "RS256", KeyKind::Rsa),
    (Algorithm::Rs384, "RS384", KeyKind::Rsa),
    (Algorithm::Rs512, "RS512", KeyKind::Rsa),
    (Algorithm::Ps256, "PS256", KeyKind::Rsa),
    (Algorithm::Ps384, "PS384", KeyKind::Rsa),
    (Algorithm::Ps512, "PS512", KeyKind::Rsa),
    (Algorithm::Es256, "ES256", KeyKind::P256),
    (Algorithm::Es384, "ES384", KeyKind::P384),
    (Algorithm::Es512, "ES512", KeyKind::P521),
    (Algorithm::EdDsa, "EdDSA", KeyKind::Ed25519),
];

impl Algorithm {
    fn row(self) -> (Algorithm, &'static str, KeyKind) {
        let mut rows = NAMES.into_iter();
        rows.find(|(algorithm, ..)| *algorithm == self)
            .expect("every algorithm has a row")
    }

    /// As tokens and key sets write it.
    pub(crate) fn name(self) -> &'static str {
        self.row().1
    }

    /// What it signs with.
    pub(crate) fn key_kind(self) -> KeyKind {
        self.row().2
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut rows = NAMES.into_iter();
        rows.find(|(_, name, _)| *name == text)
            .map(|(algorithm, ..)| algorithm)
            .ok_or_else(|| UnknownAlgorithm(text.to_owned()))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa => "RSA",
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
            Self::Ed25519 => "Ed25519",
        })
    }
}
