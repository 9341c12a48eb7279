//! Sets of public keys (JWKS).

use serde_json::{Map, Value, json};

use super::{algorithm::Algorithm, public_key::PublicKey};

/// The largest set that is read, in bytes. Those of providers with many tenants have some 100 kB.
pub(crate) const MAX_LENGTH: usize = 1024 * 1024;

/// The most keys of a set that are looked at.
const MAX_KEYS: usize = 1024;

/// What of a key is public, besides the key itself.
const DESCRIPTION: [&str; 8] = [
    "kid", "use", "key_ops", "alg", "x5u", "x5c", "x5t", "x5t#S256",
];

/// The public keys of a set that can verify signatures. Private members are never kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<Key>,
}

/// One key of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) public: PublicKey,
    described: Map<String, Value>,
}

/// Why a text is no set of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is longer than anybody's keys.
    #[error("the key set is longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// It is no JSON, or no JSON of this kind.
    #[error("it is no JSON Web Key Set: {0}")]
    Format(String),
    /// No key in it can verify a signature.
    #[error("the key set contains no key that can verify signatures")]
    Empty,
}

// === impl KeySet ===

impl KeySet {
    /// Reads a set, or a single key. A key that is of no use here (of an unknown kind, damaged, for encryption)
    /// spoils only itself.
    ///
    /// # Errors
    /// It is no set of keys, or none of them is of use.
    pub fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        if json.len() > MAX_LENGTH {
            return Err(KeySetError::TooLong);
        }
        let set: Value = serde_json::from_slice(json).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            KeySetError::Format(format!("no JSON at line {line}, column {column}"))
        })?;
        let keys = match set.get("keys") {
            Some(Value::Array(keys)) => keys.as_slice(),
            None if set.get("kty").is_some() => std::slice::from_ref(&set),
            _ => return Err(KeySetError::Format("it has no list of keys".to_owned())),
        };
        let keys: Vec<_> = keys.iter().take(MAX_KEYS).filter_map(Key::read).collect();
        if keys.is_empty() {
            return Err(KeySetError::Empty);
        }
        Ok(Self { keys })
    }

    /// A set of one key.
    pub(crate) fn single(public: PublicKey, id: &str, algorithm: Algorithm) -> Self {
        let described = json!({"alg": algorithm.name(), "kid": id, "use": "sig"});
        let described = described.as_object().cloned().unwrap_or_default();
        Self {
            keys: vec![Key { public, described }],
        }
    }

    /// Its keys.
    pub(crate) fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The set as JSON: whatever it was read from, public members alone.
    #[must_use]
    pub fn to_json(&self) -> String {
        let keys: Vec<_> = self.keys.iter().map(Key::to_jwk).collect();
        json!({ "keys": keys }).to_string()
    }

    /// Gives a key its name.
    pub(crate) fn call(&mut self, index: usize, id: &str) {
        let described = &mut self.keys[index].described;
        described.insert("kid".to_owned(), id.into());
    }

    /// Whether a key of that name is in it.
    pub(crate) fn knows(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id() == Some(id))
    }
}

// === impl Key ===

impl Key {
    fn read(jwk: &Value) -> Option<Self> {
        let jwk = jwk.as_object()?;
        if jwk.get("use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let public = PublicKey::from_jwk(jwk)?;
        let described = DESCRIPTION.iter();
        let described = described
            .filter_map(|name| Some(((*name).to_owned(), texts(jwk.get(*name)?)?.clone())))
            .collect();
        Some(Self { public, described })
    }

    /// What tokens call it.
    pub(crate) fn id(&self) -> Option<&str> {
        self.described.get("kid").and_then(Value::as_str)
    }

    /// The one algorithm it is for, if it says so; not necessarily one that is known here.
    pub(crate) fn algorithm(&self) -> Option<&str> {
        self.described.get("alg").and_then(Value::as_str)
    }

    /// Whether tokens signed with `algorithm` may be believed because of it.
    pub(crate) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithm().is_none_or(|only| only == algorithm.name())
    }

    fn to_jwk(&self) -> Value {
        let mut jwk = self.public.members();
        jwk.extend(self.described.clone());
        Value::Object(jwk)
    }
}

/// A text or a list of texts, which is all that a description is made of: nothing can hide in it.
fn texts(value: &Value) -> Option<&Value> {
    match value {
        Value::String(_) => Some(value),
        Value::Array(values) if values.iter().all(Value::is_string) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::SigningKey;

    fn rsa_jwk() -> Value {
        let pem = SigningKey::generate(Algorithm::Rs256).unwrap();
        let key = SigningKey::from_pem(pem.as_bytes()).unwrap();
        Value::Object(key.public().members())
    }

    fn parse(set: &Value) -> Result<KeySet, KeySetError> {
        KeySet::parse(set.to_string().as_bytes())
    }

    #[test]
    fn private_members_and_shared_secrets_never_leave() {
        let mut jwk = rsa_jwk();
        for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"] {
            jwk[private] = json!("c2VjcmV0");
        }
        jwk["kid"] = json!("a");
        jwk["x5c"] = json!([{"d": "c2VjcmV0"}]);
        let shared = json!({"kty": "oct", "k": "c2VjcmV0"});
        let published = parse(&json!({"keys": [shared, jwk]})).unwrap().to_json();
        assert!(!published.contains("c2VjcmV0"), "{published}");
        let published: Value = serde_json::from_str(&published).unwrap();
        let mut members: Vec<_> = published["keys"][0].as_object().unwrap().keys().collect();
        members.sort_unstable();
        assert_eq!(members, ["e", "kid", "kty", "n"]);
        assert_eq!(published["keys"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_key_of_no_use_spoils_only_itself() {
        let good = rsa_jwk();
        let mut encryption = rsa_jwk();
        encryption["use"] = json!("enc");
        let keys = json!([
            null, 7, {"kty": "EC"}, {"kty": "EC", "crv": "P-256", "x": "AA", "y": "!"},
            {"kty": "RSA", "n": "AQAB"}, {"kty": "OKP", "crv": "Ed25519", "x": "AA"}, encryption, good,
        ]);
        assert_eq!(parse(&json!({"keys": keys})).unwrap().keys().len(), 1);
        assert_eq!(
            parse(&good).unwrap().keys().len(),
            1,
            "a single key is a set"
        );
    }

    #[test]
    fn what_is_no_set_is_refused_without_being_repeated() {
        for (text, expected) in [
            ("", "it is no JSON Web Key Set: no JSON at line 1, column 0"),
            (
                "{\"keys\": 7}",
                "it is no JSON Web Key Set: it has no list of keys",
            ),
            ("[]", "it is no JSON Web Key Set: it has no list of keys"),
            (
                "{\"keys\": []}",
                "the key set contains no key that can verify signatures",
            ),
        ] {
            let error = KeySet::parse(text.as_bytes()).unwrap_err().to_string();
            assert_eq!(error, expected, "{text}");
        }
        let long = vec![b' '; MAX_LENGTH + 1];
        assert_eq!(KeySet::parse(&long).unwrap_err(), KeySetError::TooLong);
    }

    #[test]
    fn thumbprints_are_those_of_the_standard() {
        // RFC 7638, section 3.1; the digest there is in the alphabet for URLs.
        let jwk = json!({
            "kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        });
        let set = parse(&jwk).unwrap();
        assert_eq!(
            set.keys()[0].public.thumbprint(),
            "NzbLsXh8uDCcd+6MNwXF4W/7noWXFZAfHkxZsRGC9Xs="
        );
    }
}
