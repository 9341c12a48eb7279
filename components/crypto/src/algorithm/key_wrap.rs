//! AES key wrap (RFC 3394).

use aes_kw::{KeyInit as _, KwAes192};
use aws_lc_rs::key_wrap::{AES_128, AES_256, AesKek, KeyWrap as _};

use super::{Aes, AlgorithmError};

/// What is wrapped comes in these, and gets one more.
const BLOCK: usize = 8;
/// The shortest key that can be wrapped, in bytes: aws-lc holds to it by itself.
const SHORTEST: usize = 2 * BLOCK;

pub(super) fn wrap(aes: Aes, key: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, AlgorithmError> {
    let mut output = vec![0; plaintext.len() + BLOCK];
    let wrapped = match own(aes, key)? {
        Kek::Aws(kek) => kek.wrap(plaintext, &mut output).is_ok(),
        Kek::Rust(kek) => {
            plaintext.len() >= SHORTEST && kek.wrap_key(plaintext, &mut output).is_ok()
        }
    };
    match wrapped {
        true => Ok(output),
        false => Err(AlgorithmError::PlaintextLength),
    }
}

pub(super) fn unwrap(aes: Aes, key: &[u8], ciphertext: &[u8]) -> Result<Vec<u8>, AlgorithmError> {
    let length = ciphertext.len().checked_sub(BLOCK);
    let length = length.filter(|length| length.is_multiple_of(BLOCK));
    let length = length.ok_or(AlgorithmError::CiphertextLength)?;
    // aws-lc wants room for the block that goes.
    let mut output = vec![0; ciphertext.len()];
    let unwrapped = match own(aes, key)? {
        Kek::Aws(kek) => kek.unwrap(ciphertext, &mut output).is_ok(),
        Kek::Rust(kek) => {
            let output = &mut output[..length];
            length >= SHORTEST && kek.unwrap_key(ciphertext, output).is_ok()
        }
    };
    output.truncate(length);
    match unwrapped {
        true => Ok(output),
        false => Err(AlgorithmError::NotAuthentic),
    }
}

/// A key that encrypts keys.
enum Kek {
    Aws(AesKek),
    /// aws-lc has none of 192 bits.
    Rust(Box<KwAes192>),
}

fn own(aes: Aes, key: &[u8]) -> Result<Kek, AlgorithmError> {
    let mismatch = |_| AlgorithmError::KeyMismatch;
    Ok(match aes {
        Aes::Bits128 => Kek::Aws(AesKek::new(&AES_128, key).map_err(mismatch)?),
        Aes::Bits256 => Kek::Aws(AesKek::new(&AES_256, key).map_err(mismatch)?),
        Aes::Bits192 => {
            let kek = KwAes192::new_from_slice(key);
            Kek::Rust(Box::new(kek.map_err(|_| AlgorithmError::KeyMismatch)?))
        }
    })
}
