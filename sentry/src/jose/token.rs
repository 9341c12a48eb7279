//! Signed tokens: made, and judged.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{
    algorithm::Algorithm,
    key_set::{Key, KeySet},
    signing_key::{SigningKey, SigningKeyError},
};

/// The longest token that is looked at, in bytes.
pub(crate) const MAX_LENGTH: usize = 64 * 1024;

/// How far apart clocks may be.
const SKEW: Duration = Duration::from_mins(5);

/// What a token says that its reader needs. Times are in seconds since 1970, and may be left out.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: Option<String>,
    /// Whom it identifies.
    pub sub: Option<String>,
    /// Whom it is for.
    #[serde(default)]
    aud: Audiences,
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Many(Vec<String>),
}

/// The first part of a token.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    alg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    typ: Option<serde_json::Value>,
    /// Extensions that whoever does not know them must refuse.
    #[serde(skip_serializing_if = "Option::is_none")]
    crit: Option<serde_json::Value>,
}

/// Why a token is not believed. Never repeats any of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no signed token.
    #[error("failed to parse token: {0}")]
    Format(&'static str),
    /// No key of the set signed it.
    #[error("could not verify message using any of the signatures or keys")]
    Signature,
    /// A claim says that it is not for here, or not for now.
    #[error("{0:?} not satisfied")]
    Claim(&'static str),
}

impl Claims {
    /// Whether it is for `audience`.
    #[must_use]
    pub fn is_for(&self, audience: &str) -> bool {
        match &self.aud {
            Audiences::One(one) => one == audience,
            Audiences::Many(many) => many.iter().any(|one| one == audience),
        }
    }

    fn check_times(&self, now: SystemTime) -> Result<(), TokenError> {
        let (early, late) = (seconds(now - SKEW), seconds(now + SKEW));
        // Written so that a time which is no number is refused.
        let begun = |time: Option<f64>| time.is_none_or(|time| time <= late);
        if !self.exp.is_none_or(|end| end > early) {
            return Err(TokenError::Claim("exp"));
        }
        if !begun(self.iat) {
            return Err(TokenError::Claim("iat"));
        }
        if !begun(self.nbf) {
            return Err(TokenError::Claim("nbf"));
        }
        Ok(())
    }
}

impl Default for Audiences {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

/// The claims of a token that a key of `keys` signed, and that is valid at `now`, five minutes more or less.
///
/// # Errors
/// Why it is not believed.
pub fn verify(token: &str, keys: &KeySet, now: SystemTime) -> Result<Claims, TokenError> {
    if token.len() > MAX_LENGTH {
        return Err(TokenError::Format("it is too long"));
    }
    let parts: Vec<_> = token.splitn(4, '.').collect();
    let [header, claims, signature] = parts.as_slice() else {
        return Err(TokenError::Format("it does not have three parts"));
    };
    let signed = &token[..header.len() + 1 + claims.len()];
    let signature = decode(signature)?;
    let header: Header = read(&decode(header)?)?;
    let algorithm: Algorithm = header.alg.parse().map_err(|_| TokenError::Signature)?;
    if header.crit.is_some() {
        return Err(TokenError::Format("it has critical extensions"));
    }
    // A token has to name its key, as upstream has it.
    let id = header.kid.ok_or(TokenError::Signature)?;
    let signs = |key: &Key| {
        key.id() == Some(&id)
            && key.is_for(algorithm)
            && key
                .public
                .verifies(algorithm, signed.as_bytes(), &signature)
    };
    if !keys.keys().iter().any(signs) {
        return Err(TokenError::Signature);
    }
    let claims: Claims = read(&decode(claims)?)?;
    claims.check_times(now)?;
    Ok(claims)
}

/// The name of the key that a token says it was signed with. The token is not verified.
pub(crate) fn key_id(token: &str) -> Option<String> {
    let (header, _) = token.split_once('.')?;
    let header = decode(header).ok()?;
    read::<Header>(&header).ok()?.kid
}

/// A token with these claims.
pub(crate) fn sign(
    claims: &impl Serialize,
    (key, id, algorithm): (&SigningKey, &str, Algorithm),
) -> Result<String, SigningKeyError> {
    let header = Header {
        alg: algorithm.name().to_owned(),
        kid: Some(id.to_owned()),
        typ: Some("JWT".into()),
        crit: None,
    };
    let mut token = encode(&header)? + "." + &encode(claims)?;
    let signature = key.sign(algorithm, token.as_bytes())?;
    token.push('.');
    token.push_str(&BASE64_URL_SAFE_NO_PAD.encode(signature));
    Ok(token)
}

fn encode(part: &impl Serialize) -> Result<String, SigningKeyError> {
    let json = serde_json::to_vec(part)
        .map_err(|_| SigningKeyError::Unspecified("the claims are no JSON"))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(json))
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part);
    bytes.map_err(|_| TokenError::Format("a part of it is not in base64"))
}

fn read<T: for<'a> Deserialize<'a>>(json: &[u8]) -> Result<T, TokenError> {
    serde_json::from_slice(json)
        .map_err(|_| TokenError::Format("a part of it is not as it should be"))
}

/// Seconds since 1970.
fn seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests;
