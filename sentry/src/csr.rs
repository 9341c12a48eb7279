//! The request that a workload sends. Only its public key is used: what the certificate says is
//! decided by the validator.

use rcgen::SubjectPublicKeyInfo;
use x509_parser::{
    pem::parse_x509_pem,
    prelude::{FromDer as _, X509CertificationRequest},
};

use crate::signatures;

/// The longest request that is looked at, in bytes. One with an RSA-8192 key has some 3 KiB.
const MAX_LENGTH: usize = 16 * 1024;

/// Why a request is no request. The texts are upstream's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CsrError {
    #[error("invalid certificate signing request")]
    Pem,
    #[error("failed to parse certificate signing request: {0}")]
    Parse(String),
    #[error("invalid signature")]
    Signature,
}

/// The public key of a request that was signed with the private one.
pub(crate) fn public_key(request: &[u8]) -> Result<SubjectPublicKeyInfo, CsrError> {
    if request.len() > MAX_LENGTH {
        let text = format!("longer than {MAX_LENGTH} bytes");
        return Err(CsrError::Parse(text));
    }
    let (_, block) = parse_x509_pem(request).map_err(|_| CsrError::Pem)?;
    // `CERTIFICATE` is what very old clients write.
    if !["CERTIFICATE REQUEST", "CERTIFICATE"].contains(&block.label.as_str()) {
        return Err(CsrError::Pem);
    }
    let (_, csr) = X509CertificationRequest::from_der(&block.contents)
        .map_err(|error| CsrError::Parse(error.to_string()))?;
    let info = &csr.certification_request_info;
    let signature = (&csr.signature_algorithm, &csr.signature_value);
    signatures::verify(&info.subject_pki, signature, info.raw).map_err(|_| CsrError::Signature)?;
    SubjectPublicKeyInfo::from_der(info.subject_pki.raw)
        .map_err(|error| CsrError::Parse(error.to_string()))
}

#[cfg(test)]
mod tests {
    use trilby_identity::{Csr, KeyType};

    use super::*;

    #[test]
    fn every_kind_of_key_is_taken() {
        for kind in [KeyType::Ed25519, KeyType::EcdsaP256, KeyType::Rsa2048] {
            public_key(Csr::generate(kind).unwrap().pem.as_bytes()).unwrap();
        }
    }

    /// A request that OpenSSL made for a key of this kind, signed with this digest.
    fn by_openssl(key: &[&str], digest: &str) -> String {
        let done = std::process::Command::new("openssl")
            .args([
                "req",
                "-new",
                "-nodes",
                "-subj",
                "/",
                "-keyout",
                "/dev/null",
            ])
            .args(key)
            .arg(digest)
            .output()
            .expect("openssl is installed");
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    #[test]
    fn every_curve_is_taken_with_every_digest() {
        for curve in ["P-256", "P-384", "P-521"] {
            let curve = format!("ec_paramgen_curve:{curve}");
            for digest in ["-sha256", "-sha384", "-sha512"] {
                let request = by_openssl(&["-newkey", "ec", "-pkeyopt", &curve], digest);
                let key = public_key(request.as_bytes());
                assert!(key.is_ok(), "{curve} {digest}: {:?}", key.err());
            }
        }
    }

    #[test]
    fn rsa_keys_below_2048_bits_are_refused() {
        let sized = |bits: &str| by_openssl(&["-newkey", &format!("rsa:{bits}")], "-sha512");
        for bits in ["2048", "3072"] {
            public_key(sized(bits).as_bytes()).unwrap();
        }
        let error = public_key(sized("1024").as_bytes()).err().unwrap();
        assert!(matches!(error, CsrError::Signature), "{error}");
    }

    #[test]
    fn a_forged_request_for_a_key_of_p_521_is_refused() {
        let options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"];
        let (_, block) = parse_x509_pem(by_openssl(&options, "-sha512").as_bytes()).unwrap();
        let mut forged = block.contents;
        *forged.last_mut().unwrap() ^= 1;
        let forged = trilby_identity::pem::encode("CERTIFICATE REQUEST", &forged);
        let error = public_key(forged.as_bytes()).err().unwrap();
        assert!(matches!(error, CsrError::Signature), "{error}");
    }

    #[test]
    fn what_is_no_request_is_refused_in_upstreams_words() {
        let check = |request: &str, expected: &str| {
            let error = public_key(request.as_bytes()).err().unwrap().to_string();
            assert!(error.starts_with(expected), "{error}");
        };
        let good = Csr::generate(KeyType::Ed25519).unwrap().pem;
        let block = |label: &str, der: &[u8]| trilby_identity::pem::encode(label, der);
        check("", "invalid certificate signing request");
        check("nonsense", "invalid certificate signing request");
        check(
            &good.replace("CERTIFICATE REQUEST", "PRIVATE KEY"),
            "invalid certificate signing request",
        );
        check(
            &block("CERTIFICATE REQUEST", b"nonsense"),
            "failed to parse certificate signing request: ",
        );
        check(
            &block("CERTIFICATE REQUEST", &[0; 20_000]),
            "failed to parse certificate signing request: longer",
        );
        let (_, parsed) = parse_x509_pem(good.as_bytes()).unwrap();
        let mut forged = parsed.contents;
        *forged.last_mut().unwrap() ^= 1;
        check(&block("CERTIFICATE REQUEST", &forged), "invalid signature");
    }
}
