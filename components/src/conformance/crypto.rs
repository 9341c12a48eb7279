//! What every crypto provider owes its callers, whatever keeps its keys.

use crate::crypto::{CryptoError, CryptoProvider, Parameters, Sealed};

/// The names of keys that a provider under test has.
#[derive(Debug, Clone, Copy)]
pub struct KeyNames<'a> {
    /// 32 bytes that both sides share.
    pub shared: &'a str,
    /// Others of that length.
    pub other: &'a str,
    /// A private RSA key.
    pub rsa: &'a str,
    /// A private key on P-256.
    pub elliptic: &'a str,
    /// A private Ed25519 key.
    pub edwards: &'a str,
    /// None at all.
    pub absent: &'a str,
}

/// Algorithms of shared keys of 32 bytes, and the lengths of their nonces.
const SHARED: [(&str, usize); 7] = [
    ("A256GCM", 12),
    ("A128CBC-HS256", 16),
    ("A256CBC", 16),
    ("C20P", 12),
    ("XC20P", 24),
    ("C20PKW", 12),
    ("XC20PKW", 24),
];
const RSA: [&str; 5] = [
    "RSA1_5",
    "RSA-OAEP",
    "RSA-OAEP-256",
    "RSA-OAEP-384",
    "RSA-OAEP-512",
];

/// Runs every rule.
///
/// # Panics
/// When the provider breaks a rule.
pub async fn run(provider: &dyn CryptoProvider, keys: KeyNames<'_>) {
    let suite = Suite { provider, keys };
    suite.messages_come_back().await;
    suite.keys_come_back().await;
    suite.a_changed_message_does_not_come_back().await;
    suite.signatures_hold_for_what_was_signed().await;
    suite.only_public_keys_are_shown().await;
    suite.what_cannot_be_is_refused().await;
}

struct Suite<'a> {
    provider: &'a dyn CryptoProvider,
    keys: KeyNames<'a>,
}

fn with<'a>(key: &'a str, algorithm: &'a str, nonce: &'a [u8]) -> Parameters<'a> {
    Parameters {
        key,
        algorithm,
        nonce,
        associated_data: b"about",
    }
}

impl Suite<'_> {
    /// With every algorithm that a key can do.
    fn ciphers(&self) -> impl Iterator<Item = (&str, &'static str, usize)> {
        let shared = SHARED.map(|(algorithm, nonce)| (self.keys.shared, algorithm, nonce));
        let rsa = RSA.map(|algorithm| (self.keys.rsa, algorithm, 0));
        shared.into_iter().chain(rsa)
    }

    async fn messages_come_back(&self) {
        for (key, algorithm, nonce) in self.ciphers() {
            let nonce = vec![7; nonce];
            for message in [&b""[..], b"1", b"sixteen bytes!!!", &[0xff; 100]] {
                let with = with(key, algorithm, &nonce);
                let sealed = self.provider.encrypt(with, message).await;
                let sealed = sealed.unwrap_or_else(|error| panic!("{algorithm}: {error}"));
                let opened = self.provider.decrypt(with, &sealed).await;
                assert_eq!(opened.as_deref(), Ok(message), "{algorithm}");
            }
        }
    }

    async fn keys_come_back(&self) {
        let wrapping = [(self.keys.shared, "A256KW", 0)];
        for (key, algorithm, nonce) in self.ciphers().chain(wrapping) {
            let nonce = vec![7; nonce];
            let with = with(key, algorithm, &nonce);
            let wrapped = self.provider.wrap_key(with, &[9; 32]).await;
            let wrapped = wrapped.unwrap_or_else(|error| panic!("{algorithm}: {error}"));
            let unwrapped = self.provider.unwrap_key(with, &wrapped).await;
            assert_eq!(unwrapped, Ok(vec![9; 32]), "{algorithm}");
        }
    }

    async fn a_changed_message_does_not_come_back(&self) {
        for (algorithm, nonce) in SHARED.into_iter().filter(|(name, _)| *name != "A256CBC") {
            let nonce = vec![7; nonce];
            let right = with(self.keys.shared, algorithm, &nonce);
            let sealed = self.provider.encrypt(right, b"message").await;
            let sealed = sealed.unwrap_or_else(|error| panic!("{algorithm}: {error}"));
            let mut changed = sealed.clone();
            changed.ciphertext[0] ^= 1;
            self.stays_shut(right, &changed).await;
            let mut changed = sealed.clone();
            changed.tag[0] ^= 0x80;
            self.stays_shut(right, &changed).await;
            let other = with(self.keys.other, algorithm, &nonce);
            self.stays_shut(other, &sealed).await;
            let unrelated = Parameters {
                associated_data: b"",
                ..right
            };
            self.stays_shut(unrelated, &sealed).await;
        }
    }

    async fn stays_shut(&self, with: Parameters<'_>, sealed: &Sealed) {
        let opened = self.provider.decrypt(with, sealed).await;
        assert!(
            matches!(opened, Err(CryptoError::InvalidRequest(_))),
            "{}: {opened:?}",
            with.algorithm
        );
    }

    async fn signatures_hold_for_what_was_signed(&self) {
        let (rsa, elliptic, edwards) = (self.keys.rsa, self.keys.elliptic, self.keys.edwards);
        for (key, algorithm, length) in [
            (rsa, "RS256", 32),
            (rsa, "RS512", 64),
            (rsa, "PS256", 32),
            (rsa, "PS384", 48),
            (elliptic, "ES256", 32),
            (edwards, "EdDSA", 11),
        ] {
            let (digest, other) = (vec![1; length], vec![2; length]);
            let with = with(key, algorithm, &[]);
            let signature = self.provider.sign(with, &digest).await;
            let signature = signature.unwrap_or_else(|error| panic!("{algorithm}: {error}"));
            let good = self.provider.verify(with, &digest, &signature).await;
            assert_eq!(good, Ok(true), "{algorithm}");
            for (digest, signature) in [(&other, &signature[..]), (&digest, &signature[1..])] {
                let bad = self.provider.verify(with, digest, signature).await;
                assert_eq!(bad, Ok(false), "{algorithm}");
            }
        }
    }

    async fn only_public_keys_are_shown(&self) {
        for (name, kind) in [
            (self.keys.rsa, "RSA"),
            (self.keys.elliptic, "EC"),
            (self.keys.edwards, "OKP"),
        ] {
            let shown = self.provider.public_key(name).await;
            let shown = shown.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(shown.jwk["kty"], kind);
            let private = ["d", "p", "q", "dp", "dq", "qi", "k"];
            let private = private
                .iter()
                .find(|member| shown.jwk.contains_key(**member));
            assert_eq!(private, None, "{name}");
            assert!(!shown.der.is_empty(), "{name}");
        }
        for name in [self.keys.shared, self.keys.absent] {
            let shown = self.provider.public_key(name).await;
            assert!(matches!(shown, Err(CryptoError::NotFound(_))), "{shown:?}");
        }
    }

    async fn what_cannot_be_is_refused(&self) {
        for (key, algorithm, nonce) in [
            (self.keys.shared, "A256GCM", 11),
            (self.keys.shared, "A128GCM", 12),
            (self.keys.shared, "RSA-OAEP", 0),
            (self.keys.rsa, "A256GCM", 12),
            (self.keys.shared, "A256CBC-NOPAD", 16),
            (self.keys.shared, "HS256", 0),
            (self.keys.shared, "", 0),
            (self.keys.absent, "A256GCM", 12),
        ] {
            let nonce = vec![7; nonce];
            let with = with(key, algorithm, &nonce);
            let sealed = self.provider.encrypt(with, b"message").await;
            assert!(sealed.is_err(), "{algorithm} with {key}");
            let opened = self.provider.decrypt(with, &Sealed::default()).await;
            assert!(opened.is_err(), "{algorithm} with {key}");
            let signed = self.provider.sign(with, &[1; 32]).await;
            assert!(signed.is_err(), "{algorithm} with {key}");
        }
        let short = with(self.keys.elliptic, "ES256", &[]);
        assert!(self.provider.sign(short, &[1; 31]).await.is_err());
    }
}
