//! PEM, the text form of certificates.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

/// RFC 7468 wraps at 64 characters.
const LINE: usize = 64;

/// One PEM block.
#[must_use]
pub fn encode(label: &str, der: &[u8]) -> String {
    let body = BASE64_STANDARD.encode(der);
    let mut text = String::with_capacity(body.len() + body.len() / LINE + 2 * label.len() + 36);
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

/// Every certificate, one block after the other.
#[must_use]
pub fn encode_certificates(certificates: &[CertificateDer<'_>]) -> String {
    certificates
        .iter()
        .map(|certificate| encode("CERTIFICATE", certificate))
        .collect()
}

/// Every certificate of a PEM text, in order; blocks of other kinds and text between are skipped.
///
/// # Errors
/// When a block is damaged; the text says how.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_lost_and_content_is_kept() {
        let der = CertificateDer::from(vec![7; 100]);
        let text = format!(
            "a comment\n{}between\n{}",
            encode("CERTIFICATE", &der),
            encode("PRIVATE KEY", b"x")
        );
        let read = certificates(text.as_bytes()).unwrap();
        assert_eq!(read, vec![der]);
        let again = encode_certificates(&read);
        assert!(again.starts_with("-----BEGIN CERTIFICATE-----\n"));
        assert!(again.lines().all(|line| line.len() <= 64));
    }

    #[test]
    fn a_damaged_block_is_an_error() {
        assert!(
            certificates(b"-----BEGIN CERTIFICATE-----\n***\n-----END CERTIFICATE-----\n").is_err()
        );
        assert!(certificates(b"-----BEGIN CERTIFICATE-----\nAAAA\n").is_err());
    }
}
