//! `bearer`: lets through only requests with a token (a JWT) of one issuer, for one audience.

mod keys;

use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, Request, Response, StatusCode, header::AUTHORIZATION};
use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::{
    metadata::{Metadata, Schema},
    middleware::{Body, HttpMiddleware, Next, refusal},
    registry::InitError,
};
use trilby_https::{Client, Limits};

use keys::Keys;

/// Before the token, in any case.
const PREFIX: &str = "bearer ";
/// What is shorter is no token.
const SHORTEST: usize = 10;
/// For the issuer's documents; keys of many tenants are some 100 kB.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(30),
    size: 1 << 20,
};

/// The metadata of `bearer`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Settings {
    /// The issuer, exactly as its tokens and its discovery document write it.
    issuer: String,
    /// Whom tokens have to be for, usually a client's id.
    audience: String,
    /// Where the issuer's keys are; unset asks its discovery document.
    #[serde(rename = "jwksURL", default)]
    jwks_url: String,
}

impl Schema for Settings {
    const ALIASES: &'static [(&'static str, &'static str)] =
        &[("issuerURL", "issuer"), ("clientID", "audience")];
}

/// The middleware.
#[derive(Debug)]
pub(crate) struct Bearer {
    keys: Keys,
}

/// What is read of a discovery document.
#[derive(Deserialize)]
struct Discovery {
    #[serde(default)]
    issuer: String,
    #[serde(default)]
    jwks_uri: String,
}

impl Bearer {
    /// Asks the issuer where its keys are, and fetches them.
    pub(crate) async fn connect(metadata: &Metadata) -> Result<Self, InitError> {
        let settings: Settings = metadata.decode()?;
        let client = Client::new().map_err(|error| InitError::Invalid(error.to_string()))?;
        let jwks_url = if settings.jwks_url.is_empty() {
            discover(&client, &settings.issuer).await?
        } else {
            settings.jwks_url
        };
        let keys = Keys::fetch(client, jwks_url, (settings.issuer, settings.audience)).await?;
        Ok(Self { keys })
    }

    async fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(token) = token_of(headers) else {
            return false;
        };
        self.keys.verify(token).await
    }
}

/// The address of an issuer's keys.
async fn discover(client: &Client, issuer: &str) -> Result<String, InitError> {
    let failed =
        |reason: String| format!("failed to retrieve OpenID Configuration document: {reason}");
    let url = format!(
        "{}/.well-known/openid-configuration",
        issuer.strip_suffix('/').unwrap_or(issuer)
    );
    let body = keys::get(client, &url)
        .await
        .map_err(|reason| InitError::Unavailable(failed(reason)))?;
    let found: Discovery = serde_json::from_slice(&body).map_err(|error| {
        InitError::Unavailable(failed(format!("failed to decode JSON response: {error}")))
    })?;
    if found.jwks_uri.is_empty() {
        let reason = "the OpenID Configuration document does not contain a 'jwks_uri'";
        return Err(InitError::Invalid(failed(reason.to_owned())));
    }
    if found.issuer != issuer {
        return Err(InitError::Invalid(failed(format!(
            "the issuer found in the OpenID Configuration document ('{}') doesn't match the one provided in the \
             component's metadata ('{issuer}')",
            found.issuer
        ))));
    }
    Ok(found.jwks_uri)
}

fn token_of(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (prefix, token) = value.split_at_checked(PREFIX.len())?;
    (prefix.eq_ignore_ascii_case(PREFIX) && token.len() >= SHORTEST).then_some(token)
}

#[async_trait]
impl HttpMiddleware for Bearer {
    async fn handle(&self, request: Request<Body>, next: Next<'_>) -> Response<Body> {
        if !self.admits(request.headers()).await {
            return refusal(StatusCode::UNAUTHORIZED);
        }
        next.run(request).await
    }
}
