//! Values of a state store, encrypted at rest.
//!
//! What is stored is upstream's, so that both kinds of sidecars share a store: Base64 of a nonce and the AES-GCM
//! ciphertext with its tag, then `||` and the name of the secret that holds the key. That name is how a reader tells the
//! primary key, which encrypts, from the secondary one, which only decrypts what was written before a rotation.
//!
//! Deliberately absent: which values are encrypted (the state API's; never the actors'), and a binding of a value to its
//! key, which the format has no place for: who may write to the store can swap values.

use std::fmt;

use aws_lc_rs::aead::{
    AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use aws_lc_rs::rand;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;

use crate::manifest::{Manifest, Property};

/// What stands between the ciphertext and the name of its key. Base64 has none of it.
const SEPARATOR: &str = "||";
const PRIMARY: &str = "primaryEncryptionKey";
const SECONDARY: &str = "secondaryEncryptionKey";

/// The keys of one state store. `Debug` shows their names only.
pub struct Encryption {
    primary: Key,
    secondary: Option<Key>,
}

struct Key {
    /// Of the secret.
    name: String,
    cipher: LessSafeKey,
}

/// Why a value cannot be encrypted or decrypted. Another attempt fails alike.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncryptionError {
    /// It has not the form of an encrypted value.
    #[error(
        "the stored value is not encrypted: it was written without {PRIMARY}, or by another program"
    )]
    NotEncrypted,
    /// Neither key has the name that the value was encrypted under.
    #[error(
        "the stored value is encrypted with the key {0:?}, which is neither {PRIMARY} nor {SECONDARY}"
    )]
    UnknownKey(String),
    /// Another key encrypted it, or it was changed since.
    #[error(
        "the stored value does not decrypt with the key {0:?}: another key encrypted it, or it was changed since"
    )]
    Refused(String),
    /// The machine gave no random numbers, or the value is too long for the cipher.
    #[error("the value could not be encrypted")]
    NotSealed,
}

impl Encryption {
    /// The keys that a manifest asks for, with the values that its properties were resolved to; `None` without any.
    ///
    /// # Errors
    /// Which property is wrong, and how. A store that was meant to be encrypted never serves in plain text.
    pub(crate) fn of(
        manifest: &Manifest,
        (primary, secondary): (Option<&str>, Option<&str>),
    ) -> Result<Option<Self>, String> {
        let key = |name: &str, value: Option<&str>| {
            let mut properties = manifest.properties.iter();
            let property = properties.find(|property| property.name.eq_ignore_ascii_case(name));
            let key = property.map(|property| Key::of(property, value.unwrap_or_default()));
            let key = key.transpose();
            key.map_err(|why| format!("metadata property {name}: {why}"))
        };
        match (key(PRIMARY, primary)?, key(SECONDARY, secondary)?) {
            (Some(primary), secondary) => Ok(Some(Self { primary, secondary })),
            (None, Some(_)) => Err(format!(
                "metadata property {SECONDARY}: it decrypts only, so it takes {PRIMARY} as well"
            )),
            (None, None) => Ok(None),
        }
    }

    /// What to store for `value`.
    ///
    /// # Errors
    /// [`EncryptionError::NotSealed`].
    pub fn seal(&self, value: &[u8]) -> Result<Bytes, EncryptionError> {
        let sealed = self.primary.seal(value)?;
        let mut stored = STANDARD.encode(sealed);
        stored.push_str(SEPARATOR);
        stored.push_str(&self.primary.name);
        Ok(stored.into())
    }

    /// The value that was stored as `stored`. Nothing at all is an empty value, as upstream reads it.
    ///
    /// # Errors
    /// Every [`EncryptionError`] but [`EncryptionError::NotSealed`].
    pub fn open(&self, stored: &[u8]) -> Result<Bytes, EncryptionError> {
        if stored.is_empty() {
            return Ok(Bytes::new());
        }
        let text = std::str::from_utf8(stored).map_err(|_| EncryptionError::NotEncrypted)?;
        let (sealed, name) = text
            .split_once(SEPARATOR)
            .ok_or(EncryptionError::NotEncrypted)?;
        let sealed = STANDARD
            .decode(sealed)
            .map_err(|_| EncryptionError::NotEncrypted)?;
        let keys = [Some(&self.primary), self.secondary.as_ref()];
        let mut named = keys
            .into_iter()
            .flatten()
            .filter(|key| key.name == name)
            .peekable();
        if named.peek().is_none() {
            return Err(EncryptionError::UnknownKey(name.to_owned()));
        }
        // Two keys of one secret have one name.
        let opened = named.find_map(|key| key.open(&sealed));
        opened.ok_or_else(|| EncryptionError::Refused(name.to_owned()))
    }
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [Some(&self.primary), self.secondary.as_ref()];
        let names = names.into_iter().flatten().map(|key| &key.name);
        f.debug_list().entries(names).finish()
    }
}

impl Key {
    fn of(property: &Property, value: &str) -> Result<Self, String> {
        let Some((name, _)) = &property.secret else {
            return Err(
                "it has to refer to a secret (secretKeyRef), whose name is stored with every value"
                    .to_owned(),
            );
        };
        if value.is_empty() {
            return Err(format!("the secret {name:?} has an empty key"));
        }
        let bytes = from_hex(value).ok_or("the key is not in hexadecimal")?;
        let algorithm = match bytes.len() {
            16 => &AES_128_GCM,
            24 => &AES_192_GCM,
            32 => &AES_256_GCM,
            other => {
                return Err(format!(
                    "the key has {other} bytes, where AES takes 16, 24 or 32"
                ));
            }
        };
        let key = UnboundKey::new(algorithm, &bytes);
        let key = key.map_err(|_| "the cipher refuses the key".to_owned())?;
        Ok(Self {
            name: name.clone(),
            cipher: LessSafeKey::new(key),
        })
    }

    /// A new nonce, the ciphertext, its tag.
    fn seal(&self, value: &[u8]) -> Result<Vec<u8>, EncryptionError> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| EncryptionError::NotSealed)?;
        let mut sealed = nonce.to_vec();
        sealed.extend_from_slice(value);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag =
            self.cipher
                .seal_in_place_separate_tag(nonce, Aad::empty(), &mut sealed[NONCE_LEN..]);
        let tag = tag.map_err(|_| EncryptionError::NotSealed)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    fn open(&self, sealed: &[u8]) -> Option<Bytes> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let mut rest = rest.to_vec();
        let opened = self.cipher.open_in_place(nonce, Aad::empty(), &mut rest);
        let length = opened.ok()?.len();
        rest.truncate(length);
        Some(rest.into())
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests;
