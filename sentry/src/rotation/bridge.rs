//! The next root, certified by the authority in use: a way from the old root to whatever the new issuer signs.
//!
//! The bridge has the next root's name and key, and the signature of the old root, or of the old issuer where the
//! root's key is not kept. Put behind the new issuer it makes a chain in which each certificate is signed by the
//! next one; peers that trust the new root stop before it, peers that know only the old one go over it.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, SubjectPublicKeyInfo,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use trilby_identity::pem;
use x509_parser::{
    der_parser::asn1_rs::Tag, extensions::ParsedExtension, prelude::X509Certificate, x509::X509Name,
};

use super::{
    record::Bridge,
    roots::{Root, fingerprint, root_of, roots},
};
use crate::{
    bundle::{Documents, parse, time_of, unix_seconds},
    source::{NewAuthority, root_key},
};

/// The most certificates above a leaf. Verifiers bound paths; a fourth rotation within one root's life drops what led
/// from the first root.
const MAX_CHAIN: usize = 5;

/// A bridge, and the chain that it is part of.
pub(crate) struct Bridged {
    pub(crate) bridge: Bridge,
    /// The new issuer's chain, the bridge, what leads from there to the old root; PEM.
    pub(crate) issuer_chain_pem: Vec<u8>,
}

/// Who signs a bridge, and what stands above the bridge then.
struct Signer {
    issuer: Issuer<'static, KeyPair>,
    end: SystemTime,
    above: Vec<CertificateDer<'static>>,
}

/// Bridges from the authority of `documents` to `next`. Whether peers accept the bridge is for the caller to prove.
///
/// # Errors
/// Why there can be none, as a text.
pub(crate) fn build(
    documents: &Documents,
    next: &NewAuthority,
    (now, clock_skew): (SystemTime, Duration),
) -> Result<Bridged, String> {
    let new_roots = roots(&next.anchors_pem);
    let mut chain = pem::certificates(&next.issuer_chain_pem)?;
    let root = root_of(&new_roots, &chain).ok_or("the next issuer chains to none of its roots")?;
    // A root in the chain would stand between the issuer and the bridge.
    chain.retain(|certificate| fingerprint(certificate) != root.fingerprint);
    let signer = signer(documents)?;
    let not_after = signer.end.min(root.not_after);
    let params = params(&root.certificate, (now - clock_skew, not_after))?;
    let key = public_key(&root.certificate)?;
    let bridge = params
        .signed_by(&key, &signer.issuer)
        .map_err(|error| error.to_string())?;
    let record = Bridge {
        fingerprint: fingerprint(bridge.der()),
        not_after: unix_seconds(not_after),
    };
    chain.push(bridge.der().clone());
    chain.extend(signer.above);
    chain.truncate(MAX_CHAIN);
    Ok(Bridged {
        bridge: record,
        issuer_chain_pem: pem::encode_certificates(&chain).into_bytes(),
    })
}

/// A chain without the bridge and what stands above it, and that part.
pub(crate) fn split(
    issuer_chain_pem: &[u8],
    bridge: &Bridge,
) -> Result<(Vec<u8>, Vec<u8>), String> {
    let chain = pem::certificates(issuer_chain_pem)?;
    let at = chain
        .iter()
        .position(|certificate| fingerprint(certificate) == bridge.fingerprint)
        .unwrap_or(chain.len());
    let text = |part: &[CertificateDer<'_>]| pem::encode_certificates(part).into_bytes();
    Ok((text(&chain[..at]), text(&chain[at..])))
}

/// The old root if its key is kept: its signature holds longest. Else the old issuer.
fn signer(documents: &Documents) -> Result<Signer, String> {
    let old_roots = roots(&documents.ca);
    let chain = pem::certificates(&documents.issuer)?;
    let root = root_of(&old_roots, &chain).ok_or("the issuer chains to no root")?;
    let own = root_key(documents).ok().filter(|key| is_key_of(key, root));
    if let Some(key) = own {
        return Ok(Signer {
            issuer: issuer_of(&root.certificate, key)?,
            end: root.not_after,
            above: above(root, &chain),
        });
    }
    let der = PrivateKeyDer::from_pem_slice(&documents.key).map_err(|error| error.to_string())?;
    let key = KeyPair::try_from(&der).map_err(|error| error.to_string())?;
    let first = chain.first().ok_or("there is no issuer")?;
    let ends = chain
        .iter()
        .map(|certificate| parse(certificate).map(|parsed| time_of(parsed.validity().not_after)));
    let ends = ends.collect::<Result<Vec<_>, _>>()?;
    Ok(Signer {
        issuer: issuer_of(first, key)?,
        end: ends.into_iter().fold(root.not_after, SystemTime::min),
        above: chain,
    })
}

fn issuer_of(
    certificate: &CertificateDer<'_>,
    key: KeyPair,
) -> Result<Issuer<'static, KeyPair>, String> {
    Issuer::from_ca_cert_der(certificate, key).map_err(|error| error.to_string())
}

/// What of the old chain leads from an earlier root to `root`: the bridge of the rotation before, and what is above.
fn above(root: &Root, chain: &[CertificateDer<'static>]) -> Vec<CertificateDer<'static>> {
    let is_bridge = |certificate: &CertificateDer<'_>| {
        let (Ok(certificate), Ok(root)) = (parse(certificate), parse(&root.certificate)) else {
            return false;
        };
        certificate.public_key().raw == root.public_key().raw
    };
    let at = chain.iter().position(is_bridge).unwrap_or(chain.len());
    let bridge = chain[at..].iter();
    bridge
        .filter(|certificate| fingerprint(certificate) != root.fingerprint)
        .cloned()
        .collect()
}

fn is_key_of(key: &KeyPair, root: &Root) -> bool {
    parse(&root.certificate)
        .is_ok_and(|parsed| parsed.public_key().subject_public_key.data == key.public_key_raw())
}

/// The root's name, key identifier and usages under another signature.
fn params(
    root: &CertificateDer<'_>,
    (not_before, not_after): (SystemTime, SystemTime),
) -> Result<CertificateParams, String> {
    let parsed = parse(root)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = name(parsed.subject())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
    ];
    params.use_authority_key_identifier_extension = true;
    if let Some(identifier) = key_identifier(&parsed) {
        params.key_identifier_method = KeyIdMethod::PreSpecified(identifier);
    }
    params.not_before = not_before.into();
    params.not_after = not_after.into();
    Ok(params)
}

fn key_identifier(root: &X509Certificate<'_>) -> Option<Vec<u8>> {
    root.extensions()
        .iter()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0.to_vec()),
            _ => None,
        })
}

fn public_key(root: &CertificateDer<'_>) -> Result<SubjectPublicKeyInfo, String> {
    let parsed = parse(root)?;
    SubjectPublicKeyInfo::from_der(parsed.public_key().raw).map_err(|error| error.to_string())
}

/// A name with the same bytes: verifiers compare those.
fn name(subject: &X509Name<'_>) -> Result<DistinguishedName, String> {
    let mut name = DistinguishedName::new();
    for attribute in subject.iter_attributes() {
        let oid = attribute.attr_type().iter();
        let oid: Vec<u64> = oid
            .ok_or("an attribute of the root's name is odd")?
            .collect();
        let text = attribute.as_str().map_err(|error| error.to_string())?;
        let odd = |error: &dyn std::fmt::Display| format!("the root's name: {error}");
        let value = match attribute.attr_value().tag() {
            Tag::Utf8String => DnValue::Utf8String(text.to_owned()),
            Tag::PrintableString => {
                DnValue::PrintableString(text.try_into().map_err(|error| odd(&error))?)
            }
            Tag::Ia5String => DnValue::Ia5String(text.try_into().map_err(|error| odd(&error))?),
            other => return Err(odd(&format!("a string of the kind {other}"))),
        };
        name.push(DnType::from_oid(&oid), value);
    }
    Ok(name)
}
