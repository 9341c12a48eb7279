//! `crypto.dapr.jwks`: a JSON Web Key Set, given in the component, in a file, or on the web.
//!
//! A file is read again with every use of a key, so that a change counts at once; a set of the web is fetched again
//! once it is older than `minRefreshInterval`. A set that cannot be read leaves the last good one in force.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use http::StatusCode;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::Mutex as Turn, time::Instant};
use tracing::warn;
use trilby_components::{
    crypto::CryptoError,
    metadata::{Metadata, MetadataError, Schema, value::Seconds},
    registry::InitError,
};
use trilby_https::{Client, Limits};

use crate::{
    folder::read,
    key::Key,
    provider::{Keys, not_found},
};

/// As upstream has it; what is shorter than [`SHORTEST_TIMEOUT`] counts as not given.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);
/// As upstream has it; what is shorter than [`SHORTEST_INTERVAL`] counts as not given.
const MIN_REFRESH_INTERVAL: Duration = Duration::from_secs(10 * 60);
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// Of a set from the web, in bytes; keys of many tenants are some 100 kB.
const LARGEST: usize = 1 << 20;

/// Metadata of the provider.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// The set: its JSON, that in base64, the path of a file, or an `https://` or `http://` URL. Keys are named by
    /// their `kid`.
    #[schemars(extend("writeOnly" = true))]
    jwks: String,
    /// How long fetching the set may take. Less than a millisecond is the default.
    #[serde(default = "request_timeout")]
    request_timeout: Seconds,
    /// How old a set from the web gets before it is fetched again. Less than a second is the default.
    #[serde(default = "min_refresh_interval")]
    min_refresh_interval: Seconds,
}

impl Schema for Settings {}

fn request_timeout() -> Seconds {
    Seconds(REQUEST_TIMEOUT)
}

fn min_refresh_interval() -> Seconds {
    Seconds(MIN_REFRESH_INTERVAL)
}

/// The keys of a set, by `kid`.
#[derive(Debug)]
pub struct KeySet {
    place: Place,
    current: Mutex<Arc<Set>>,
}

#[derive(Debug)]
enum Place {
    Inline,
    File(PathBuf),
    Web(Box<Web>),
}

/// A set on the web.
#[derive(Debug)]
struct Web {
    client: Client,
    url: String,
    timeout: Duration,
    interval: Duration,
    /// When it was asked last. Held while it is asked.
    asked: Turn<Instant>,
}

/// What a place held.
#[derive(Debug, Default)]
struct Set {
    text: Vec<u8>,
    keys: Vec<Arc<Key>>,
}

impl KeySet {
    /// Reads the set for the first time.
    ///
    /// # Errors
    /// When the metadata does not decode, or there is no set.
    pub async fn open(metadata: &Metadata) -> Result<Self, InitError> {
        let settings: Settings = metadata.decode()?;
        if settings.jwks.is_empty() {
            return Err(MetadataError::Missing("jwks".into()).into());
        }
        let (place, set) = match settings.jwks.as_str() {
            url if url.starts_with("https://") || url.starts_with("http://") => {
                let web = Web::new(&settings)?;
                let set = web.ask().await.map_err(InitError::Unavailable)?;
                (Place::Web(Box::new(web)), set)
            }
            text => given(text).await?,
        };
        let current = Mutex::new(Arc::new(set));
        Ok(Self { place, current })
    }

    /// The set as it is now, or as it could last be read.
    async fn current(&self) -> Arc<Set> {
        let current = Arc::clone(&self.current.lock());
        let newer = match &self.place {
            Place::Inline => return current,
            Place::File(path) => match read(path).await {
                Ok(text) if text == current.text => return current,
                Ok(text) => Set::parse(text),
                Err(error) => Err(error.to_string()),
            },
            Place::Web(web) => match web.ask_if_old().await {
                None => return Arc::clone(&self.current.lock()),
                Some(answer) => answer,
            },
        };
        match newer {
            Ok(set) => {
                let set = Arc::new(set);
                *self.current.lock() = Arc::clone(&set);
                set
            }
            Err(error) => {
                warn!(error, "the last good version of the key set stays in force");
                current
            }
        }
    }
}

/// A set that is not on the web: the path of a file, or the set itself.
async fn given(text: &str) -> Result<(Place, Set), InitError> {
    let path = PathBuf::from(text);
    let is_file = tokio::fs::metadata(&path)
        .await
        .is_ok_and(|found| !found.is_dir());
    if is_file {
        let set = match read(&path).await {
            Ok(text) => Set::parse(text),
            Err(error) => Err(error.to_string()),
        };
        let set = set.map_err(|error| {
            InitError::Invalid(format!("failed to read the JWKS file {text}: {error}"))
        })?;
        return Ok((Place::File(path), set));
    }
    let decoded = BASE64_STANDARD_NO_PAD.decode(text.trim_end_matches('='));
    let json = decoded.unwrap_or_else(|_| text.as_bytes().to_vec());
    let set = Set::parse(json).map_err(|_| {
        let reason = "not a URL, path to local file, or JSON value (optionally base64-encoded)";
        MetadataError::invalid("jwks", reason)
    })?;
    Ok((Place::Inline, set))
}

impl Web {
    fn new(settings: &Settings) -> Result<Self, InitError> {
        let long = |given: Seconds, shortest, default| match given.0 {
            given if given < shortest => default,
            given => given,
        };
        let url = settings.jwks.clone();
        if url.starts_with("http://") {
            warn!("keys are fetched without TLS: whoever is in between can replace them");
        }
        let (timeout, interval) = (settings.request_timeout, settings.min_refresh_interval);
        Ok(Self {
            client: Client::new().map_err(|error| InitError::Invalid(error.to_string()))?,
            url,
            timeout: long(timeout, SHORTEST_TIMEOUT, REQUEST_TIMEOUT),
            interval: long(interval, SHORTEST_INTERVAL, MIN_REFRESH_INTERVAL),
            asked: Turn::new(Instant::now()),
        })
    }

    /// Asks, if nobody did for long enough; one request at a time does, the others take what is there.
    async fn ask_if_old(&self) -> Option<Result<Set, String>> {
        let mut asked = self.asked.try_lock().ok()?;
        if asked.elapsed() < self.interval {
            return None;
        }
        let answer = self.ask().await;
        *asked = Instant::now();
        Some(answer)
    }

    async fn ask(&self) -> Result<Set, String> {
        let limits = Limits {
            time: self.timeout,
            size: LARGEST,
        };
        let failed = |reason: String| format!("failed to fetch JWKS: {reason}");
        let response = self.client.get(&self.url, limits).await;
        let response = response.map_err(|error| failed(error.to_string()))?;
        if response.status() != StatusCode::OK {
            return Err(failed(format!("status {}", response.status().as_u16())));
        }
        Set::parse(response.into_body().to_vec()).map_err(failed)
    }
}

impl Set {
    /// A set, or a single key. A key that cannot be used spoils only itself.
    fn parse(text: Vec<u8>) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        let keys = match value {
            Value::Object(mut object) if object.contains_key("keys") => object.remove("keys"),
            Value::Object(key) => Some(Value::Array(vec![Value::Object(key)])),
            _ => None,
        };
        let Some(Value::Array(keys)) = keys else {
            return Err("not a JSON Web Key Set".into());
        };
        let keys = keys.into_iter().filter_map(usable).collect();
        Ok(Self { text, keys })
    }
}

fn usable(jwk: Value) -> Option<Arc<Key>> {
    let id = jwk.get("kid").and_then(Value::as_str).unwrap_or_default();
    let id = id.to_owned();
    match Key::from_jwk(jwk) {
        Ok(key) => Some(Arc::new(key)),
        Err(error) => {
            warn!(kid = id, %error, "a key of the set cannot be used");
            None
        }
    }
}

#[async_trait]
impl Keys for KeySet {
    async fn key(&self, name: &str) -> Result<Arc<Key>, CryptoError> {
        let set = self.current().await;
        let mut keys = set.keys.iter();
        let found = keys.find(|key| key.purpose.id.as_deref() == Some(name));
        found.cloned().ok_or_else(not_found)
    }
}
