//! An issuer's keys, and tokens checked against them.
//!
//! Keys are fetched anew by the request that finds them old, or that brings a token of a key not seen yet; other
//! requests go on with the keys that are there, and so does this one if the issuer does not answer.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse},
};
use parking_lot::RwLock;
use serde::de::IgnoredAny;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use tracing::warn;
use trilby_components::registry::InitError;
use trilby_https::Client;

use super::LIMITS;

/// How old keys may get, as upstream has it.
const OLD: Duration = Duration::from_secs(10 * 60);
/// How soon an unknown key may make them be fetched again: forged tokens must not drive us.
const AGAIN: Duration = Duration::from_secs(30);
/// How long a request waits for newer keys.
const PATIENCE: Duration = Duration::from_secs(5);
/// Clocks may differ by this many seconds, as upstream has it.
const SKEW: u64 = 5 * 60;

/// The keys of one issuer.
pub(super) struct Keys {
    client: Client,
    url: String,
    issuer: String,
    audience: String,
    known: RwLock<Arc<Vec<Key>>>,
    /// Held while they are asked for.
    asked: Mutex<Asked>,
}

/// When the keys were asked for last.
struct Asked {
    at: Instant,
    /// Because a token named one that was not there.
    for_unknown: Option<Instant>,
}

/// One key, and how tokens may be signed with it.
struct Key {
    id: String,
    key: DecodingKey,
    validations: Vec<(Algorithm, Validation)>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({} from {})", self.known.read().len(), self.url)
    }
}

impl Keys {
    pub(super) async fn fetch(
        client: Client,
        url: String,
        (issuer, audience): (String, String),
    ) -> Result<Self, InitError> {
        let keys = Self {
            client,
            url,
            issuer,
            audience,
            known: RwLock::default(),
            asked: Mutex::new(Asked {
                at: Instant::now(),
                for_unknown: None,
            }),
        };
        let fetched = keys.ask().await;
        let fetched = fetched
            .map_err(|reason| InitError::Unavailable(format!("failed to fetch JWKS: {reason}")))?;
        *keys.known.write() = Arc::new(fetched);
        Ok(keys)
    }

    /// Whether a token is good: signed with one of the keys, of the issuer, for the audience, and current.
    pub(super) async fn verify(&self, token: &str) -> bool {
        let Ok(header) = decode_header(token) else {
            return false;
        };
        let Some(id) = header.kid else {
            return false;
        };
        self.refresh(&id).await;
        let known = Arc::clone(&self.known.read());
        known.iter().filter(|key| key.id == id).any(|key| {
            let validation = key.validations.iter().find(|(alg, _)| *alg == header.alg);
            validation.is_some_and(|(_, validation)| {
                decode::<IgnoredAny>(token, &key.key, validation).is_ok()
            })
        })
    }

    fn knows(&self, id: &str) -> bool {
        self.known.read().iter().any(|key| key.id == id)
    }

    /// Fetches the keys again if they are old, or if `id` is not among them.
    async fn refresh(&self, id: &str) {
        let is_known = self.knows(id);
        let mut asked = match self.asked.try_lock() {
            Ok(asked) => asked,
            // Somebody asks already, and what is here will do.
            Err(_) if is_known => return,
            Err(_) => self.asked.lock().await,
        };
        if !is_known && self.knows(id) {
            return;
        }
        let is_soon = |at: Instant| at.elapsed() < AGAIN;
        let may_ask = !is_known && !asked.for_unknown.is_some_and(is_soon);
        if !may_ask && asked.at.elapsed() < OLD {
            return;
        }
        let answer = timeout(PATIENCE, self.ask()).await;
        asked.at = Instant::now();
        if !is_known {
            asked.for_unknown = Some(asked.at);
        }
        match answer.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}"))) {
            Ok(keys) => *self.known.write() = Arc::new(keys),
            Err(reason) => warn!(
                url = self.url,
                reason, "the issuer's keys could not be fetched again, the old ones stay in use"
            ),
        }
    }

    async fn ask(&self) -> Result<Vec<Key>, String> {
        let body = get(&self.client, &self.url).await?;
        // A key of a kind that is not known here spoils only itself.
        let set: JwkSet = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        let usable = set.keys.iter().filter_map(|jwk| self.key(jwk));
        Ok(usable.collect())
    }

    fn key(&self, jwk: &Jwk) -> Option<Key> {
        let id = jwk.common.key_id.clone()?;
        let signs = matches!(
            jwk.common.public_key_use,
            None | Some(PublicKeyUse::Signature)
        );
        let key = DecodingKey::from_jwk(jwk).ok().filter(|_| signs)?;
        let algorithms = algorithms(jwk).into_iter();
        let validations = algorithms.map(|algorithm| (algorithm, self.validation(algorithm)));
        Some(Key {
            id,
            key,
            validations: validations.collect(),
        })
    }

    /// The audience and the issuer have to be there; times only have to be right if they are.
    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims = HashSet::from(["aud".to_owned(), "iss".to_owned()]);
        validation.leeway = SKEW;
        validation.validate_nbf = true;
        validation.set_audience(&[&self.audience]);
        validation.set_issuer(&[&self.issuer]);
        validation
    }
}

/// The algorithm that a key names, else those that fit its kind. Keys that both sides share are none of an
/// issuer's.
fn algorithms(jwk: &Jwk) -> Vec<Algorithm> {
    let fitting = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => vec![
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => vec![Algorithm::ES256],
            EllipticCurve::P384 => vec![Algorithm::ES384],
            _ => Vec::new(),
        },
        AlgorithmParameters::OctetKeyPair(_) => vec![Algorithm::EdDSA],
        _ => Vec::new(),
    };
    let Some(named) = jwk.common.key_algorithm else {
        return fitting;
    };
    let named = named.to_string();
    fitting
        .into_iter()
        .filter(|algorithm| format!("{algorithm:?}") == named)
        .collect()
}

/// A document of the issuer's.
pub(super) async fn get(client: &Client, url: &str) -> Result<Bytes, String> {
    let response = client.get(url, LIMITS).await;
    let response = response.map_err(|error| error.to_string())?;
    if response.status() != StatusCode::OK {
        return Err(format!(
            "invalid response status code: {}",
            response.status().as_u16()
        ));
    }
    Ok(response.into_body())
}
