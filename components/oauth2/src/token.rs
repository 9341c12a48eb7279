//! Tokens from a token endpoint (RFC 6749), the way Go's `oauth2` library asks for them.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use serde::Deserialize;
use serde_json::Value;
use trilby_components::registry::InitError;
use trilby_https::{Client, Limits};

/// A token endpoint answers with a few kilobytes; Go's library reads no more than this either.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(30),
    size: 1 << 20,
};

/// How the client proves itself to the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum AuthStyle {
    /// In a header, and if that is refused in parameters; what worked is kept.
    Auto = 0,
    /// `client_id` and `client_secret` in the body.
    Params = 1,
    /// HTTP basic authentication.
    Header = 2,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error(transparent)]
    Transport(#[from] trilby_https::Error),
    #[error("the token endpoint answered {0}")]
    Refused(http::StatusCode),
    #[error("the token endpoint's answer is not understood: {0}")]
    Answer(String),
}

/// A token.
pub(crate) struct Token {
    /// `<type> <token>`, as a header carries it.
    pub(crate) header: HeaderValue,
    /// How long it is valid, if the endpoint says so.
    pub(crate) lifetime: Option<Duration>,
}

/// One client of one token endpoint. `Debug` shows no secret.
pub(crate) struct Endpoint {
    client: Client,
    uri: Uri,
    client_id: String,
    client_secret: String,
    /// An [`AuthStyle`].
    style: AtomicU8,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Endpoint({} for {})", self.uri, self.client_id)
    }
}

impl Endpoint {
    pub(crate) fn new(
        url: &str,
        (client_id, client_secret): (String, String),
        style: AuthStyle,
    ) -> Result<Self, InitError> {
        let uri = url.parse().map_err(|error| {
            InitError::Invalid(format!("metadata property tokenURL is invalid: {error}"))
        })?;
        let client = Client::new().map_err(|error| InitError::Invalid(error.to_string()))?;
        Ok(Self {
            client,
            uri,
            client_id,
            client_secret,
            style: AtomicU8::new(style as u8),
        })
    }

    /// Asks for a token with these parameters.
    pub(crate) async fn token(&self, params: &[(String, String)]) -> Result<Token, TokenError> {
        let style = match self.style.load(Ordering::Relaxed) {
            1 => AuthStyle::Params,
            2 => AuthStyle::Header,
            _ => AuthStyle::Auto,
        };
        if style != AuthStyle::Auto {
            return self.ask(params, style).await;
        }
        let (token, worked) = match self.ask(params, AuthStyle::Header).await {
            Ok(token) => (token, AuthStyle::Header),
            Err(TokenError::Refused(_)) => (
                self.ask(params, AuthStyle::Params).await?,
                AuthStyle::Params,
            ),
            Err(error) => return Err(error),
        };
        self.style.store(worked as u8, Ordering::Relaxed);
        Ok(token)
    }

    async fn ask(
        &self,
        params: &[(String, String)],
        style: AuthStyle,
    ) -> Result<Token, TokenError> {
        let response = self
            .client
            .send(self.request(params, style), LIMITS)
            .await?;
        if !response.status().is_success() {
            return Err(TokenError::Refused(response.status()));
        }
        Answer::read(&response)?.token()
    }

    fn request(&self, params: &[(String, String)], style: AuthStyle) -> Request<Bytes> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(params);
        if style == AuthStyle::Params {
            form.append_pair("client_id", &self.client_id)
                .append_pair("client_secret", &self.client_secret);
        }
        let mut request = Request::new(Bytes::from(form.finish()));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if style == AuthStyle::Header {
            headers.insert(AUTHORIZATION, self.basic());
        }
        request
    }

    fn basic(&self) -> HeaderValue {
        let escaped =
            |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
        let pair = format!(
            "{}:{}",
            escaped(&self.client_id),
            escaped(&self.client_secret)
        );
        let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
            .expect("base64 fits into a header");
        value.set_sensitive(true);
        value
    }
}

/// What a token endpoint says.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    token_type: String,
    /// Seconds: a number, or the text of one, as some providers have it.
    #[serde(default)]
    expires_in: Value,
}

impl Answer {
    fn read(response: &Response<Bytes>) -> Result<Self, TokenError> {
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let media = content_type.unwrap_or_default().split(';').next();
        if !matches!(
            media.map(str::trim),
            Some("application/x-www-form-urlencoded" | "text/plain")
        ) {
            return serde_json::from_slice(response.body())
                .map_err(|error| TokenError::Answer(error.to_string()));
        }
        let field = |name: &str| {
            let mut pairs = form_urlencoded::parse(response.body());
            let found = pairs.find(|(key, _)| key == name);
            found
                .map(|(_, value)| value.into_owned())
                .unwrap_or_default()
        };
        Ok(Self {
            access_token: field("access_token"),
            token_type: field("token_type"),
            expires_in: Value::String(field("expires_in")),
        })
    }

    fn token(self) -> Result<Token, TokenError> {
        if self.access_token.is_empty() {
            return Err(TokenError::Answer("it has no access_token".to_owned()));
        }
        let scheme = match self.token_type.to_lowercase().as_str() {
            "" | "bearer" => "Bearer".to_owned(),
            "mac" => "MAC".to_owned(),
            "basic" => "Basic".to_owned(),
            _ => self.token_type,
        };
        let header = HeaderValue::try_from(format!("{scheme} {}", self.access_token));
        let mut header =
            header.map_err(|_| TokenError::Answer("the token fits into no header".to_owned()))?;
        header.set_sensitive(true);
        let seconds = match &self.expires_in {
            Value::String(text) => text.parse().ok(),
            number => number.as_f64(),
        };
        let lifetime = seconds.filter(|seconds| *seconds > 0.0);
        let lifetime = lifetime.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Ok(Token { header, lifetime })
    }
}
