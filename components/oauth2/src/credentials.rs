//! `oauth2clientcredentials`: adds a token of the component's own to requests.

use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::{sync::Mutex, time::Instant};
use tracing::error;
use trilby_components::{
    metadata::{Metadata, MetadataError, Schema},
    middleware::{Body, HttpMiddleware, Next, refusal},
    registry::InitError,
};

use crate::{
    filter::PathFilter,
    token::{AuthStyle, Endpoint, Token, TokenError},
};

/// A token is not used in its last seconds, which it may spend on its way; as Go's library has it.
const MARGIN: Duration = Duration::from_secs(10);
/// How long a token without a lifetime is used.
const UNLIMITED: Duration = Duration::from_secs(60 * 60);

/// The metadata of `oauth2clientcredentials`.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Settings {
    /// The client's id at the provider.
    #[serde(rename = "clientID")]
    client_id: String,
    /// Its secret.
    #[serde(rename = "clientSecret")]
    #[schemars(extend("writeOnly" = true))]
    client_secret: String,
    /// What the token shall be good for, separated by commas.
    scopes: String,
    /// The token endpoint.
    #[serde(rename = "tokenURL")]
    token_url: String,
    /// The header that the token goes into.
    #[serde(rename = "headerName")]
    header_name: String,
    /// More parameters for the token endpoint, as a query.
    #[serde(rename = "endpointParamsQuery", default)]
    endpoint_params_query: String,
    /// How the client proves itself: 0 finds out, 1 in parameters, 2 in a header.
    #[serde(rename = "authStyle", default)]
    auth_style: i64,
    /// A regular expression of paths; requests to others pass untouched.
    #[serde(rename = "pathFilter", default)]
    path_filter: String,
}

impl Schema for Settings {}

/// The middleware.
pub(crate) struct Credentials {
    endpoint: Endpoint,
    params: Vec<(String, String)>,
    header: HeaderName,
    filter: PathFilter,
    /// Held while a token is fetched, so that a crowd of requests fetches one.
    current: Mutex<Option<Current>>,
}

struct Current {
    header: HeaderValue,
    until: Instant,
}

impl Credentials {
    pub(crate) fn new(metadata: &Metadata) -> Result<Self, InitError> {
        let settings: Settings = metadata.decode()?;
        let style = match settings.auth_style {
            0 => AuthStyle::Auto,
            1 => AuthStyle::Params,
            2 => AuthStyle::Header,
            other => {
                return Err(InitError::Invalid(format!(
                    "metadata errors: Parameter 'authStyle' can only have the values 0,1,2. Received: '{other}'. "
                )));
            }
        };
        let header = HeaderName::try_from(&settings.header_name)
            .map_err(|error| MetadataError::invalid("headerName", error.to_string()))?;
        let mut params = vec![
            ("grant_type".to_owned(), "client_credentials".to_owned()),
            ("scope".to_owned(), settings.scopes.replace(',', " ")),
        ];
        let more = form_urlencoded::parse(settings.endpoint_params_query.as_bytes());
        params.extend(more.into_owned());
        Ok(Self {
            endpoint: Endpoint::new(
                &settings.token_url,
                (settings.client_id, settings.client_secret),
                style,
            )?,
            params,
            header,
            filter: PathFilter::new(&settings.path_filter)?,
            current: Mutex::new(None),
        })
    }

    /// The header's value, of a token that is still valid.
    async fn value(&self) -> Result<HeaderValue, TokenError> {
        let mut current = self.current.lock().await;
        if let Some(Current { header, until }) = &*current
            && Instant::now() < *until
        {
            return Ok(header.clone());
        }
        let asked = Instant::now();
        let Token { header, lifetime } = self.endpoint.token(&self.params).await?;
        *current = Some(Current {
            header: header.clone(),
            until: asked + lifetime.map_or(UNLIMITED, |lifetime| lifetime.saturating_sub(MARGIN)),
        });
        Ok(header)
    }
}

#[async_trait]
impl HttpMiddleware for Credentials {
    async fn handle(&self, mut request: Request<Body>, next: Next<'_>) -> Response<Body> {
        if !self.filter.concerns(request.uri()) {
            return next.run(request).await;
        }
        match self.value().await {
            Ok(value) => {
                // In place of a value that the client sent, which would be taken for this one.
                request.headers_mut().insert(&self.header, value);
                next.run(request).await
            }
            Err(error) => {
                error!(endpoint = ?self.endpoint, %error, "no token could be obtained");
                refusal(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}
