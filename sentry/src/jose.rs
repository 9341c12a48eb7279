//! JSON Web Keys, signatures and tokens (RFC 7515 to 7519), as far as an authority of identities needs them.
//!
//! Only public-key algorithms, only the compact form, no critical extensions, no secrets that both sides share.

mod algorithm;
mod key_set;
mod public_key;
mod signing_key;
mod token;

pub use key_set::{KeySet, KeySetError};
pub use token::{Claims, TokenError, verify};

pub(crate) use algorithm::Algorithm;
pub(crate) use key_set::MAX_LENGTH as MAX_KEY_SET;
pub(crate) use signing_key::{SigningKey, SigningKeyError};
pub(crate) use token::{key_id, sign};
