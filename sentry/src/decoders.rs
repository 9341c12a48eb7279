//! What bytes from callers and administrators reach, for those who try it out with any bytes: the fuzz targets.

use std::time::SystemTime;

use crate::{
    bundle::{Bundle, Documents},
    csr,
};

/// The request (DER) of a certificate signing request that is accepted; `None` if it is refused.
#[must_use]
pub fn csr(request: &[u8]) -> Option<Vec<u8>> {
    let (_, block) = x509_parser::pem::parse_x509_pem(request).ok()?;
    csr::public_key(request).ok().map(|_| block.contents)
}

/// Whether anchors, issuer and key, all PEM, are an authority at `now`.
#[must_use]
pub fn is_authority([ca, issuer, key]: [&[u8]; 3], now: SystemTime) -> bool {
    let documents = Documents {
        ca: ca.to_vec(),
        issuer: issuer.to_vec(),
        key: key.to_vec(),
        root_key: None,
        tokens: None,
        rotation: crate::rotation::RotationDocuments::default(),
    };
    Bundle::read(&documents, now).is_ok()
}
