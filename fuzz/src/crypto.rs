//! Keys and documents that cryptography reads.

use bytes::Bytes;
use trilby_components_crypto::key::Key;
use trilby_components_crypto::scheme::HeaderReader;

/// A key that is accepted can be written, and a public half of it read again.
pub(crate) fn crypto_key(data: &[u8]) {
    for content_type in ["", "application/json", "application/x-pem-file"] {
        let Ok(key) = Key::parse(data, content_type) else {
            continue;
        };
        let Ok(Some(public)) = key.public() else {
            continue;
        };
        assert!(key.serialize().is_ok_and(|bytes| !bytes.is_empty()));
        let again = Key::from_jwk(public.jwk.into()).expect("what is shown is a key");
        let shown = again
            .public()
            .expect("it can be shown")
            .expect("it is public");
        assert_eq!(shown.der, public.der);
    }
}

/// A header that is accepted has something to decrypt, and nobody has signed it with a key that nobody has.
pub(crate) fn crypto_document(data: &[u8]) {
    let mut rest = Bytes::copy_from_slice(data);
    if let Ok(Some(header)) = HeaderReader::default().push(&mut rest) {
        assert!(!header.wrapped_key().is_empty() && !header.algorithm().is_empty());
        assert!(rest.len() < data.len());
        assert!(header.unlock(None).is_err());
    }
}
