//! Signatures of requests and certificates: what x509-parser knows, and the pairs of curve and digest that it does not.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1,
    ECDSA_P521_SHA512_ASN1, EcdsaVerificationAlgorithm, UnparsedPublicKey,
};
use x509_parser::{
    asn1_rs::BitString,
    oid_registry::{
        OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_SIG_ECDSA_WITH_SHA256,
        OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512,
    },
    prelude::X509Certificate,
    verify::verify_signature,
    x509::{AlgorithmIdentifier, SubjectPublicKeyInfo},
};

/// Not signed with that key, or in a way that nobody here knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unverified;

/// Whether `signature`, made as `algorithm` says, is the key's over `signed`.
pub(crate) fn verify(
    key: &SubjectPublicKeyInfo<'_>,
    (algorithm, signature): (&AlgorithmIdentifier<'_>, &BitString<'_>),
    signed: &[u8],
) -> Result<(), Unverified> {
    match overlooked(key, algorithm) {
        Some(ecdsa) => UnparsedPublicKey::new(ecdsa, &key.subject_public_key.data)
            .verify(signed, &signature.data)
            .map_err(|_| Unverified),
        None => verify_signature(key, algorithm, signature, signed).map_err(|_| Unverified),
    }
}

/// Whether `certificate` is signed with the key of `issuer`.
pub(crate) fn is_signed_by(
    certificate: &X509Certificate<'_>,
    issuer: &SubjectPublicKeyInfo<'_>,
) -> bool {
    let signature = (
        &certificate.signature_algorithm,
        &certificate.signature_value,
    );
    verify(issuer, signature, certificate.tbs_certificate.as_ref()).is_ok()
}

/// What x509-parser does not know: P-521, and SHA-512 with smaller curves.
fn overlooked(
    key: &SubjectPublicKeyInfo<'_>,
    algorithm: &AlgorithmIdentifier<'_>,
) -> Option<&'static EcdsaVerificationAlgorithm> {
    let curve = key.algorithm.parameters.as_ref()?.as_oid().ok()?;
    let digest = &algorithm.algorithm;
    let known = [
        (
            OID_EC_P256,
            OID_SIG_ECDSA_WITH_SHA512,
            &ECDSA_P256_SHA512_ASN1,
        ),
        (
            OID_NIST_EC_P384,
            OID_SIG_ECDSA_WITH_SHA512,
            &ECDSA_P384_SHA512_ASN1,
        ),
        (
            OID_NIST_EC_P521,
            OID_SIG_ECDSA_WITH_SHA256,
            &ECDSA_P521_SHA256_ASN1,
        ),
        (
            OID_NIST_EC_P521,
            OID_SIG_ECDSA_WITH_SHA384,
            &ECDSA_P521_SHA384_ASN1,
        ),
        (
            OID_NIST_EC_P521,
            OID_SIG_ECDSA_WITH_SHA512,
            &ECDSA_P521_SHA512_ASN1,
        ),
    ];
    let mut found = known.into_iter();
    found.find_map(|(c, d, ecdsa)| (c == curve && d == *digest).then_some(ecdsa))
}
