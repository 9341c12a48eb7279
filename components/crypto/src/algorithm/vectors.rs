//! Values that others published: what is right is taken, and what is wrong in one of the known ways is refused.
//!
//! The values are a selection of project Wycheproof's (`testvectors_v1`, at dac1dd47), one or two for each thing that it
//! tells apart. Left out are those of which it says that either answer will do, nonces of other lengths than ours, and no
//! ciphertext at all of AES-CBC, which is no message to Wycheproof, and an empty one to upstream and so to us.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;
use trilby_components::crypto::{Parameters, Sealed};

use super::{decrypt, verify};
use crate::key::Key;

#[derive(Deserialize)]
struct Vectors {
    keys: Vec<Value>,
    cases: Vec<Case>,
}

/// Bytes are Base64; what a case does not have is empty.
#[derive(Deserialize)]
struct Case {
    /// Where it is published: a file, and the number in it.
    of: String,
    #[serde(default)]
    comment: String,
    /// Which of the keys.
    key: usize,
    algorithm: String,
    valid: bool,
    #[serde(default)]
    message: String,
    #[serde(default)]
    ciphertext: String,
    #[serde(default)]
    tag: String,
    #[serde(default)]
    nonce: String,
    #[serde(default)]
    label: String,
    #[serde(default)]
    signature: String,
}

fn bytes(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
}

impl Case {
    /// Whether it is answered as published: what is right with what it stands for, and what is wrong with nothing at all.
    fn holds(&self, key: &Key) -> bool {
        match self.hashed() {
            Some(message) => self.is_signed(key, &message) == self.valid,
            None => self.decrypted(key) == self.valid.then(|| bytes(&self.message)),
        }
    }

    /// What is signed, with algorithms that sign.
    fn hashed(&self) -> Option<Vec<u8>> {
        let message = bytes(&self.message);
        let hash = match self.algorithm.as_str() {
            "EdDSA" => return Some(message),
            "RS256" | "PS256" | "ES256" => &SHA256,
            "RS384" | "PS384" | "ES384" => &SHA384,
            "RS512" | "PS512" | "ES512" => &SHA512,
            _ => return None,
        };
        Some(digest(hash, &message).as_ref().to_vec())
    }

    fn is_signed(&self, key: &Key, message: &[u8]) -> bool {
        let signature = bytes(&self.signature);
        verify(key, &self.algorithm, (message, &signature)) == Ok(true)
    }

    fn decrypted(&self, key: &Key) -> Option<Vec<u8>> {
        let (nonce, label) = (bytes(&self.nonce), bytes(&self.label));
        let with = Parameters {
            algorithm: &self.algorithm,
            nonce: &nonce,
            associated_data: &label,
            ..Parameters::default()
        };
        let sealed = Sealed {
            ciphertext: bytes(&self.ciphertext),
            tag: bytes(&self.tag),
        };
        decrypt(key, with, &sealed).ok()
    }
}

#[test]
fn what_is_right_is_taken_and_what_is_wrong_is_refused() {
    let vectors: Vectors = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let keys = vectors.keys.into_iter();
    let keys: Vec<Key> = keys.map(|key| Key::from_jwk(key).unwrap()).collect();
    let mut seen: BTreeMap<&str, [u32; 2]> = BTreeMap::new();
    let mut broken = Vec::new();
    for case in &vectors.cases {
        if !case.holds(&keys[case.key]) {
            broken.push(format!("{}: {}", case.of, case.comment));
        }
        seen.entry(&case.algorithm).or_default()[usize::from(case.valid)] += 1;
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert_eq!(seen.len(), 27, "{:?}", seen.keys());
    for (algorithm, both) in seen {
        assert!(!both.contains(&0), "{algorithm} needs right and wrong ones");
    }
}
