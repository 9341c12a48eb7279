//! What trust anchors are, one by one.

use std::time::SystemTime;

use aws_lc_rs::digest;
use rustls_pki_types::CertificateDer;
use trilby_identity::pem;

use crate::{
    bundle::{parse, time_of},
    signatures::is_signed_by,
};

/// One trust anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Root {
    /// SHA-256 of its DER, hexadecimal.
    pub(crate) fingerprint: String,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    /// `O` of its subject.
    pub(crate) organization: String,
    pub(crate) certificate: CertificateDer<'static>,
}

/// SHA-256, hexadecimal.
pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    hex(digest::digest(&digest::SHA256, certificate).as_ref())
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The anchors of a PEM text; what cannot be read is none.
pub(crate) fn roots(ca: &[u8]) -> Vec<Root> {
    let certificates = pem::certificates(ca).unwrap_or_default();
    certificates.into_iter().filter_map(root).collect()
}

fn root(certificate: CertificateDer<'static>) -> Option<Root> {
    let parsed = parse(&certificate).ok()?;
    Some(Root {
        fingerprint: fingerprint(&certificate),
        not_before: time_of(parsed.validity().not_before),
        not_after: time_of(parsed.validity().not_after),
        organization: organization(&parsed),
        certificate: certificate.clone(),
    })
}

/// `O` of a certificate's subject; empty if there is none.
pub(crate) fn organization(certificate: &x509_parser::certificate::X509Certificate<'_>) -> String {
    let mut organizations = certificate.subject().iter_organization();
    let first = organizations.next().and_then(|name| name.as_str().ok());
    first.unwrap_or_default().to_owned()
}

/// A way from an issuer to a root.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path<'a> {
    /// When the first of its certificates ends, the root's among them.
    pub(crate) end: SystemTime,
    pub(crate) root: &'a Root,
}

/// The root that signed the path of an issuer chain which holds longest.
pub(crate) fn root_of<'a>(roots: &'a [Root], chain: &[CertificateDer<'_>]) -> Option<&'a Root> {
    longest_path(roots, chain).map(|path| path.root)
}

/// The path of an issuer chain that holds longest; of equals, the shortest.
pub(crate) fn longest_path<'a>(
    roots: &'a [Root],
    chain: &[CertificateDer<'_>],
) -> Option<Path<'a>> {
    let signed = |certificate: &CertificateDer<'_>, root: &Root| {
        let (Ok(certificate), Ok(root)) = (parse(certificate), parse(&root.certificate)) else {
            return false;
        };
        is_signed_by(&certificate, root.public_key())
    };
    let mut end = None;
    let mut candidates = Vec::new();
    for certificate in chain {
        let not_after = time_of(parse(certificate).ok()?.validity().not_after);
        let so_far = end.map_or(not_after, |end: SystemTime| end.min(not_after));
        end = Some(so_far);
        let found = roots.iter().filter(|root| signed(certificate, root));
        candidates.extend(found.map(|root| Path {
            end: so_far.min(root.not_after),
            root,
        }));
    }
    candidates.into_iter().rev().max_by_key(|path| path.end)
}
