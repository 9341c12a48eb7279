//! `oauth2`: logs browsers in by the authorization code flow, and adds their token to requests.

mod session;

use async_trait::async_trait;
use http::{
    HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{HOST, LOCATION},
};
use schemars::JsonSchema;
use serde::Deserialize;
use tracing::error;
use trilby_components::{
    metadata::{Metadata, MetadataError, Schema},
    middleware::{Body, HttpMiddleware, Next, empty, refusal, text},
    registry::InitError,
};

use crate::{
    filter::PathFilter,
    token::{AuthStyle, Endpoint},
};
use session::{Session, Sessions};

/// The metadata of `oauth2`.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Settings {
    /// The client's id at the provider.
    #[serde(rename = "clientID")]
    client_id: String,
    /// Its secret, which also seals the session cookie.
    #[serde(rename = "clientSecret")]
    #[schemars(extend("writeOnly" = true))]
    client_secret: String,
    /// What the token shall be good for, separated by commas.
    #[serde(default)]
    scopes: Vec<String>,
    /// Where the provider asks the user.
    #[serde(rename = "authURL")]
    auth_url: String,
    /// The token endpoint.
    #[serde(rename = "tokenURL")]
    token_url: String,
    /// Where the provider sends the browser back to; it has to lead through this middleware. Unset leaves it to
    /// the provider.
    #[serde(rename = "redirectURL", default)]
    redirect_url: String,
    /// The header that the token goes into.
    #[serde(rename = "authHeaderName", default = "authorization")]
    auth_header_name: String,
    /// Whether the browser is sent back to an https address.
    #[serde(rename = "forceHTTPS", default)]
    force_https: bool,
    /// A regular expression of paths; requests to others pass untouched.
    #[serde(rename = "pathFilter", default)]
    path_filter: String,
}

fn authorization() -> String {
    "Authorization".to_owned()
}

impl Schema for Settings {}

/// The middleware.
pub(crate) struct CodeFlow {
    endpoint: Endpoint,
    sessions: Sessions,
    /// Without the state.
    auth_url: String,
    auth_params: Vec<(String, String)>,
    redirect_url: String,
    header: HeaderName,
    force_https: bool,
    filter: PathFilter,
}

/// What a request wants, by its cookie and its query.
enum Step {
    /// Nothing more: it is logged in.
    Pass(HeaderValue),
    /// To log in.
    Begin,
    /// To come back from the provider.
    Finish {
        session: Option<Session>,
        state: String,
        code: String,
    },
}

impl CodeFlow {
    pub(crate) fn new(metadata: &Metadata) -> Result<Self, InitError> {
        let settings: Settings = metadata.decode()?;
        let header = HeaderName::try_from(&settings.auth_header_name)
            .map_err(|error| MetadataError::invalid("authHeaderName", error.to_string()))?;
        HeaderValue::try_from(&settings.auth_url)
            .map_err(|error| MetadataError::invalid("authURL", error.to_string()))?;
        let mut auth_params = vec![
            ("access_type".to_owned(), "offline".to_owned()),
            ("client_id".to_owned(), settings.client_id.clone()),
        ];
        if !settings.redirect_url.is_empty() {
            auth_params.push(("redirect_uri".to_owned(), settings.redirect_url.clone()));
        }
        auth_params.push(("response_type".to_owned(), "code".to_owned()));
        if !settings.scopes.is_empty() {
            auth_params.push(("scope".to_owned(), settings.scopes.join(" ")));
        }
        Ok(Self {
            sessions: Sessions::new(
                &settings.client_id,
                &settings.client_secret,
                settings.force_https,
            ),
            endpoint: Endpoint::new(
                &settings.token_url,
                (settings.client_id, settings.client_secret),
                AuthStyle::Auto,
            )?,
            auth_url: settings.auth_url,
            auth_params,
            redirect_url: settings.redirect_url,
            header,
            force_https: settings.force_https,
            filter: PathFilter::new(&settings.path_filter)?,
        })
    }

    fn step(&self, request: &Request<Body>) -> Step {
        let session = self.sessions.open(request.headers());
        let token = session
            .as_ref()
            .and_then(|session| session.token.as_deref());
        if let Some(Ok(mut token)) = token.map(HeaderValue::from_str) {
            token.set_sensitive(true);
            return Step::Pass(token);
        }
        let query = request.uri().query().unwrap_or_default();
        let param = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            let found = pairs.find(|(key, _)| key == name);
            found
                .map(|(_, value)| value.into_owned())
                .unwrap_or_default()
        };
        match param("state") {
            state if state.is_empty() => Step::Begin,
            state => Step::Finish {
                session,
                state,
                code: param("code"),
            },
        }
    }

    /// To the provider, with a state that comes back.
    fn begin(&self, request: &Request<Body>) -> Response<Body> {
        let session = Session {
            state: uuid::Uuid::new_v4().to_string(),
            back: self.back_to(request),
            token: None,
        };
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .extend_pairs(&self.auth_params)
            .append_pair("state", &session.state);
        let separator = if self.auth_url.contains('?') {
            '&'
        } else {
            '?'
        };
        let location = format!("{}{separator}{}", self.auth_url, query.finish());
        self.redirect(&location, &session, None)
    }

    /// Where a request was going, on this host only.
    fn back_to(&self, request: &Request<Body>) -> String {
        let target = request
            .uri()
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let target = format!("/{}", target.trim_start_matches(['/', '\\']));
        let host = request
            .headers()
            .get(HOST)
            .and_then(|host| host.to_str().ok());
        let host = host.or_else(|| {
            request
                .uri()
                .authority()
                .map(|authority| authority.as_str())
        });
        match host {
            Some(host) if self.force_https => format!("https://{host}{target}"),
            _ => target,
        }
    }

    /// Back from the provider: the code becomes a token.
    async fn finish(&self, session: Option<Session>, state: &str, code: &str) -> Response<Body> {
        let Some(mut session) = session.filter(|session| session.state == state) else {
            return text(StatusCode::BAD_REQUEST, "invalid state");
        };
        if code.is_empty() {
            return text(StatusCode::BAD_REQUEST, "code not found");
        }
        let mut params = vec![
            ("grant_type".to_owned(), "authorization_code".to_owned()),
            ("code".to_owned(), code.to_owned()),
        ];
        if !self.redirect_url.is_empty() {
            params.push(("redirect_uri".to_owned(), self.redirect_url.clone()));
        }
        match self.endpoint.token(&params).await {
            Ok(token) => {
                session.token = token.header.to_str().ok().map(str::to_owned);
                session.state.clear();
                let back = std::mem::take(&mut session.back);
                self.redirect(&back, &session, token.lifetime)
            }
            Err(error) => {
                error!(endpoint = ?self.endpoint, %error, "a code could not be exchanged for a token");
                refusal(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    fn redirect(
        &self,
        to: &str,
        session: &Session,
        lifetime: Option<std::time::Duration>,
    ) -> Response<Body> {
        let (Ok(to), Some(cookies)) = (
            HeaderValue::try_from(to),
            self.sessions.seal(session, lifetime),
        ) else {
            error!("the session does not fit into cookies, or its address into a header");
            return refusal(StatusCode::INTERNAL_SERVER_ERROR);
        };
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::FOUND;
        response.headers_mut().insert(LOCATION, to);
        for cookie in cookies {
            response
                .headers_mut()
                .append(http::header::SET_COOKIE, cookie);
        }
        response
    }
}

#[async_trait]
impl HttpMiddleware for CodeFlow {
    async fn handle(&self, mut request: Request<Body>, next: Next<'_>) -> Response<Body> {
        if !self.filter.concerns(request.uri()) {
            return next.run(request).await;
        }
        match self.step(&request) {
            Step::Pass(token) => {
                request.headers_mut().insert(&self.header, token);
                next.run(request).await
            }
            Step::Begin => self.begin(&request),
            Step::Finish {
                session,
                state,
                code,
            } => self.finish(session, &state, &code).await,
        }
    }
}
