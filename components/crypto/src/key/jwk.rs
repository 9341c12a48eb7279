//! JSON Web Keys (RFC 7517, 7518, 8037).

use aws_lc_rs::{
    rsa::{KeyPair, KeyPairComponents},
    signature::RsaPublicKeyComponents,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Curve, EdwardsKey, EllipticKey, Key, Material, Purpose, RsaKey, parse::KeyError,
    rsa::without_zeros,
};

/// The members that keys of all kinds have, those of which no kind has all.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    #[serde(default)]
    key_ops: Vec<String>,
    alg: Option<String>,
    crv: Option<String>,
    k: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<String>,
    p: Option<String>,
    q: Option<String>,
    dp: Option<String>,
    dq: Option<String>,
    qi: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Reads a key.
pub(super) fn parse(bytes: &[u8]) -> Result<Key, KeyError> {
    let jwk = serde_json::from_slice(bytes);
    key(jwk.map_err(|error| KeyError::Json(error.to_string()))?)
}

/// Reads a key that is JSON already.
pub(super) fn from_value(value: Value) -> Result<Key, KeyError> {
    let jwk = serde_json::from_value(value);
    key(jwk.map_err(|error| KeyError::Json(error.to_string()))?)
}

fn key(jwk: Jwk) -> Result<Key, KeyError> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let purpose = Purpose {
        id: given(&jwk.kid),
        usage: given(&jwk.usage),
        operations: jwk.key_ops.clone(),
        algorithm: given(&jwk.alg),
    };
    let material = match jwk.kty.as_str() {
        "oct" => Key::symmetric(member("k", &jwk.k)?)?.material,
        "RSA" => Material::Rsa(rsa(&jwk)?),
        "EC" => Material::Elliptic(elliptic(&jwk)?),
        "OKP" => edwards(&jwk)?,
        other => return Err(KeyError::Unsupported(other.to_owned())),
    };
    Ok(Key { material, purpose })
}

fn rsa(jwk: &Jwk) -> Result<RsaKey, KeyError> {
    let (modulus, exponent) = (member("n", &jwk.n)?, member("e", &jwk.e)?);
    if jwk.d.is_none() {
        return RsaKey::from_numbers(&modulus, &exponent);
    }
    let components = KeyPairComponents {
        public_key: RsaPublicKeyComponents {
            n: without_zeros(&modulus),
            e: without_zeros(&exponent),
        },
        d: &*member("d", &jwk.d)?,
        p: &*member("p", &jwk.p)?,
        q: &*member("q", &jwk.q)?,
        dP: &*member("dp", &jwk.dp)?,
        dQ: &*member("dq", &jwk.dq)?,
        qInv: &*member("qi", &jwk.qi)?,
    };
    let pair = KeyPair::from_components(&components).map_err(|_| KeyError::Invalid("RSA"))?;
    RsaKey::pair(&pair)
}

fn elliptic(jwk: &Jwk) -> Result<EllipticKey, KeyError> {
    let name = jwk.crv.as_deref().unwrap_or_default();
    let curve = Curve::ALL.into_iter().find(|curve| curve.name() == name);
    let curve = curve.ok_or_else(|| KeyError::Unsupported(format!("EC/{name}")))?;
    let (x, y) = (member("x", &jwk.x)?, member("y", &jwk.y)?);
    let private = match jwk.d {
        Some(_) => Some(member("d", &jwk.d)?),
        None => None,
    };
    EllipticKey::from_numbers(curve, (&x, &y), private.as_deref())
}

fn edwards(jwk: &Jwk) -> Result<Material, KeyError> {
    let public = member("x", &jwk.x)?;
    match (jwk.crv.as_deref(), &jwk.d) {
        (Some("Ed25519"), None) => EdwardsKey::public(&public).map(Material::Edwards),
        (Some("Ed25519"), Some(_)) => {
            EdwardsKey::from_seed(&member("d", &jwk.d)?, &public).map(Material::Edwards)
        }
        (Some("X25519"), _) => Ok(Material::Montgomery),
        (other, _) => Err(KeyError::Unsupported(format!(
            "OKP/{}",
            other.unwrap_or_default()
        ))),
    }
}

fn member(name: &'static str, text: &Option<String>) -> Result<Vec<u8>, KeyError> {
    let text = text.as_deref().ok_or(KeyError::Missing(name))?;
    // With padding it is no JSON Web Key, but what upstream reads.
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
    bytes.map_err(|_| KeyError::Member(name))
}

/// A number or bytes as JSON Web Keys have them.
pub(super) fn encoded(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
