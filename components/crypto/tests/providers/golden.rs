//! Documents that upstream's own code encrypted.
//!
//! `documents.txt` has a line for each: cipher, length of what is in it, the document in base64. They were made once, by
//! a program of a few lines around `schemes/enc/v1` and `crypto` of Dapr's kit at the release that the sidecar follows:
//! the bytes 0, 1, 2, … 250, 0, … as content, the bytes 0 to 31 as the key `test-key`, `A256KW` to wrap with.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use trilby_components::{
    crypto::{CryptoProvider as _, Parameters, Sealed},
    metadata::Metadata,
};
use trilby_components_crypto::{KeySet, Provider, scheme::HeaderReader};

use crate::keys::encoded;

const DOCUMENTS: &str = include_str!("documents.txt");

async fn provider() -> Provider<KeySet> {
    let key: Vec<u8> = (0..32).collect();
    let key = encoded(&key);
    let set = format!(r#"{{"keys":[{{"kty":"oct","kid":"test-key","k":"{key}"}}]}}"#);
    let metadata = Metadata::new([("jwks", set)]).unwrap();
    Provider::over(KeySet::open(&metadata).await.unwrap())
}

#[tokio::test]
async fn documents_of_upstream_are_decrypted() {
    let provider = provider().await;
    let mut seen = 0;
    for line in DOCUMENTS.lines() {
        let [cipher, length, document] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let length: usize = length.parse().unwrap();
        let expected: Vec<u8> = (0..length)
            .map(|at| u8::try_from(at % 251).unwrap())
            .collect();
        let document = BASE64_STANDARD.decode(document).unwrap();
        assert_eq!(
            decrypted(&provider, document).await,
            expected,
            "{cipher} {length}"
        );
        seen += 1;
    }
    assert_eq!(seen, 6);
}

async fn decrypted(provider: &Provider<KeySet>, document: Vec<u8>) -> Vec<u8> {
    let mut data = Bytes::from(document);
    let header = HeaderReader::default().push(&mut data).unwrap().unwrap();
    let with = Parameters {
        key: header.key_name("").unwrap(),
        algorithm: header.algorithm(),
        ..Parameters::default()
    };
    let wrapped = Sealed {
        ciphertext: header.wrapped_key().to_vec(),
        tag: Vec::new(),
    };
    let key = provider.unwrap_key(with, &wrapped).await.unwrap();
    let mut segments = header.unlock(Some(&key)).unwrap();
    assert_eq!(segments.push(&mut data).unwrap(), None);
    segments.finish().unwrap().unwrap_or_default().to_vec()
}
