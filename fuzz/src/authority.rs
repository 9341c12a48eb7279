//! What the certificate authority reads: requests, tokens, keys and its own documents.

use std::time::{Duration, SystemTime};

use trilby_identity::{TrustBundle, pem};
use trilby_sentry::{decoders, jose};

/// The key that signed [`TOKEN`].
const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":"TNujpwsGDyatTxefyFK8ygd166LvInk9Zp26Bm8G5TE"}]}"#;

/// The only token that there is of that key.
const TOKEN: &str = include_str!("../corpus/jwt/good");

fn now() -> SystemTime {
    // Within the validity of what the corpus holds.
    SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000)
}

/// A request that is accepted is accepted as it is written again.
pub(crate) fn csr(data: &[u8]) {
    if let Some(request) = decoders::csr(data) {
        let again = pem::encode("CERTIFICATE REQUEST", &request);
        assert_eq!(decoders::csr(again.as_bytes()), Some(request));
    }
}

/// No token is believed but the one that was signed.
pub(crate) fn jwt(data: &[u8]) {
    let Ok(token) = std::str::from_utf8(data) else {
        return;
    };
    let keys = jose::KeySet::parse(KEYS.as_bytes()).expect("it is a set of keys");
    match jose::verify(token, &keys, now()) {
        Ok(_) => assert_eq!(token, TOKEN),
        Err(error) => assert_ne!(token, TOKEN, "{error}"),
    }
}

/// A set is published without anything private, and read as it is published.
pub(crate) fn jwks(data: &[u8]) {
    let Ok(set) = jose::KeySet::parse(data) else {
        return;
    };
    let published = set.to_json();
    assert_eq!(jose::KeySet::parse(published.as_bytes()).as_ref(), Ok(&set));
    for private in ["\"d\":", "\"p\":", "\"q\":", "\"k\":"] {
        assert!(!published.contains(private), "{published}");
    }
}

/// Certificates are read as they were written.
pub(crate) fn pem(data: &[u8]) {
    if let Ok(certificates) = pem::certificates(data) {
        let again = pem::encode_certificates(&certificates);
        assert_eq!(pem::certificates(again.as_bytes()), Ok(certificates));
    }
}

/// A bundle is what it is distributed as.
pub(crate) fn trust_bundle(data: &[u8]) {
    if let Ok(bundle) = TrustBundle::from_pem(data) {
        assert!(!bundle.is_empty());
        assert_eq!(TrustBundle::from_pem(bundle.pem().as_bytes()), Ok(bundle));
    }
}

/// Anchors, issuer and key, each ended by a line of four dashes: what is an authority has all three.
pub(crate) fn authority(data: &[u8]) {
    const END: &[u8] = b"----\n";
    let ends = data.windows(END.len()).enumerate();
    let ends = ends.filter(|(at, part)| *part == END && (*at == 0 || data[at - 1] == b'\n'));
    let ends: Vec<_> = ends.map(|(at, _)| at).collect();
    let &[first, second, ..] = ends.as_slice() else {
        return;
    };
    let (ca, issuer) = (
        &data[..first],
        &data[(first + END.len()).min(second)..second],
    );
    let key = &data[second + END.len()..];
    if decoders::is_authority([ca, issuer, key], now()) {
        assert!(TrustBundle::from_pem(ca).is_ok());
        assert!(pem::certificates(issuer).is_ok_and(|chain| !chain.is_empty()));
    }
}
