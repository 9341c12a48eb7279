//! Whether what a certificate authority answered makes an issuer: pure checks, each with a text that says what to change.

use std::time::SystemTime;

use rcgen::{KeyPair, PublicKeyData as _};
use rustls_pki_types::CertificateDer;
use trilby_identity::pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::signatures::is_signed_by;

/// What came back for a request.
pub(super) struct Answer<'a> {
    /// The certificate and what lies between it and a root, PEM.
    pub(super) chain: &'a [u8],
    /// What it has to lead to, PEM.
    pub(super) roots: &'a [u8],
}

/// An answer that makes an issuer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    /// The certificate first, nothing self-signed, PEM.
    pub(super) chain: String,
    /// The roots, PEM.
    pub(super) roots: String,
}

/// Why an answer makes no issuer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum AnswerError {
    #[error("the certificate is unreadable: {0}")]
    Unreadable(String),
    #[error("the certificate is for another key than the one that was asked for")]
    ForeignKey,
    #[error(
        "the certificate is not a certificate authority's (basic constraints CA, key usage certificate sign): the issuer must allow that"
    )]
    NotAnAuthority,
    #[error("certificate number {0} is not valid now")]
    NotValidNow(usize),
    #[error("certificate number {0} is not signed by the one after it")]
    ChainBroken(usize),
    #[error("the roots are unreadable: {0}")]
    UnreadableRoots(String),
    #[error("the issuer names no root: give the roots by flag")]
    NoRoots,
    #[error(
        "what is given as root number {0} is not self-signed, so it is none: give the roots by flag"
    )]
    NotARoot(usize),
    #[error("the certificate does not chain to the roots")]
    Untrusted,
    #[error(
        "the path length of certificate number {number} ({subject}) allows {allowed} authorities below it, and there would be {below}"
    )]
    PathLength {
        number: usize,
        subject: String,
        allowed: u32,
        below: usize,
    },
}

impl Answer<'_> {
    /// Checks that the answer is a certificate authority for `key`, now, under the roots.
    pub(super) fn check(&self, key: &KeyPair, now: SystemTime) -> Result<Accepted, AnswerError> {
        let roots_der = pem::certificates(self.roots).map_err(AnswerError::UnreadableRoots)?;
        let roots = parse(&roots_der).map_err(AnswerError::UnreadableRoots)?;
        check_roots(&roots)?;
        let chain_der = pem::certificates(self.chain).map_err(AnswerError::Unreadable)?;
        let mut chain = parse(&chain_der).map_err(AnswerError::Unreadable)?;
        // A root that came along is no part of the chain.
        let is_root = |last: &X509Certificate<'_>| is_signed_by(last, last.public_key());
        if chain.len() > 1 && chain.last().is_some_and(is_root) {
            chain.pop();
        }
        check_first(&chain, key)?;
        check_chain(&chain, now)?;
        check_path(&chain, &roots, now)?;
        Ok(Accepted {
            chain: pem::encode_certificates(&chain_der[..chain.len()]),
            roots: pem::encode_certificates(&roots_der),
        })
    }
}

fn parse<'a>(certificates: &'a [CertificateDer<'_>]) -> Result<Vec<X509Certificate<'a>>, String> {
    let parse = |certificate: &'a CertificateDer<'_>| {
        let parsed = X509Certificate::from_der(certificate);
        parsed
            .map(|(_, parsed)| parsed)
            .map_err(|error| error.to_string())
    };
    certificates.iter().map(parse).collect()
}

fn check_roots(roots: &[X509Certificate<'_>]) -> Result<(), AnswerError> {
    if roots.is_empty() {
        return Err(AnswerError::NoRoots);
    }
    let other = roots
        .iter()
        .position(|root| !is_signed_by(root, root.public_key()));
    other.map_or(Ok(()), |index| Err(AnswerError::NotARoot(index + 1)))
}

fn check_first(chain: &[X509Certificate<'_>], key: &KeyPair) -> Result<(), AnswerError> {
    let none = || AnswerError::Unreadable("there is none".to_owned());
    let issuer = chain.first().ok_or_else(none)?;
    if issuer.public_key().raw != key.subject_public_key_info() {
        return Err(AnswerError::ForeignKey);
    }
    if may_certify(issuer) {
        Ok(())
    } else {
        Err(AnswerError::NotAnAuthority)
    }
}

fn check_chain(chain: &[X509Certificate<'_>], now: SystemTime) -> Result<(), AnswerError> {
    if let Some(index) = chain.iter().position(|c| !is_valid(c, now)) {
        return Err(AnswerError::NotValidNow(index + 1));
    }
    for (index, pair) in chain.windows(2).enumerate() {
        if !is_issued_by(&pair[0], &pair[1]) {
            return Err(AnswerError::ChainBroken(index + 1));
        }
    }
    Ok(())
}

/// Whether the chain leads to a root, and nobody on the way forbids an authority so far below.
fn check_path(
    chain: &[X509Certificate<'_>],
    roots: &[X509Certificate<'_>],
    now: SystemTime,
) -> Result<(), AnswerError> {
    let Some(last) = chain.last() else {
        return Err(AnswerError::Untrusted);
    };
    let root = roots
        .iter()
        .find(|root| is_issued_by(last, root) && is_valid(root, now))
        .ok_or(AnswerError::Untrusted)?;
    for (below, above) in chain.iter().chain([root]).enumerate() {
        let constraints = above.basic_constraints().ok().flatten();
        let allowed = constraints.and_then(|found| found.value.path_len_constraint);
        match allowed {
            Some(allowed) if usize::try_from(allowed).is_ok_and(|most| most < below) => {
                return Err(AnswerError::PathLength {
                    number: below + 1,
                    subject: above.subject().to_string(),
                    allowed,
                    below,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_issued_by(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
    certificate.issuer() == issuer.subject()
        && may_certify(issuer)
        && is_signed_by(certificate, issuer.public_key())
}

fn may_certify(certificate: &X509Certificate<'_>) -> bool {
    let usage = certificate.key_usage().ok().flatten();
    certificate.is_ca() && usage.is_none_or(|usage| usage.value.key_cert_sign())
}

fn is_valid(certificate: &X509Certificate<'_>, now: SystemTime) -> bool {
    let now = now.duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    });
    let validity = certificate.validity();
    (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now)
}

#[cfg(test)]
mod tests;
