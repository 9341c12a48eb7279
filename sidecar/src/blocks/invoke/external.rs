//! Targets outside Dapr: HTTPEndpoints by name, and addresses.
//!
//! ```text
//! Call ─► name of an HTTPEndpoint ─► its base URL + method, its headers and TLS, redirects followed
//!      └► http(s)://host[:port]   ─► that address + method
//! ```
//!
//! The set of endpoints is swapped whole; one whose settings did not change keeps its connections.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use super::headers::{API_TOKEN, CALLEE_ID, CALLER_ID, CALLER_NAMESPACE, to_http};
use super::{Answer, Call, CallError, method_of};
use crate::channel::{
    ClientTls, InvalidTls, OutsideCall, OutsideClient, Proxies, SystemTrust, Trust, answer_of,
    escape_path, escape_query,
};
use crate::payload::Payload;
use crate::pipeline::Pipeline;
use crate::tracing_context;

/// An HTTPEndpoint as it is configured, its secrets resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSettings {
    /// The name that applications invoke.
    pub name: String,
    /// The URL that methods are put behind.
    pub base_url: String,
    /// Headers that every call carries.
    pub headers: Vec<(String, String)>,
    /// TLS of the connection.
    pub tls: ClientTls,
    /// Whether the server may ask for another handshake on the same connection.
    pub renegotiation: Option<String>,
}

/// An HTTPEndpoint that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidEndpoint {
    /// The URL names no host that HTTP reaches.
    #[error("baseUrl {0:?} is no http:// or https:// URL")]
    BaseUrl(String),
    /// A header cannot be sent.
    #[error("header {0:?} cannot be sent: its name or its value is malformed")]
    Header(String),
    /// Nobody knows what this means.
    #[error("clientTLS.renegotiation {0:?} is none of Never, OnceAsClient, FreelyAsClient")]
    Renegotiation(String),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] InvalidTls),
}

/// The targets outside. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct Externals(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    endpoints: ArcSwap<HashMap<String, Arc<Endpoint>>>,
    addresses: OutsideClient,
    system: SystemTrust,
    proxies: Proxies,
    pipeline: Pipeline,
}

/// An endpoint that can be called.
#[derive(Debug)]
pub(super) struct Endpoint {
    settings: EndpointSettings,
    headers: HeaderMap,
    client: OutsideClient,
}

/// A target that is no application.
#[derive(Debug)]
pub(super) enum External<'a> {
    /// An HTTPEndpoint.
    Endpoint(Arc<Endpoint>),
    /// An address.
    Address(&'a str),
}

impl Externals {
    /// No endpoints yet; calls go through `pipeline`, as those to the application do, and over `proxies`.
    pub fn new(pipeline: Pipeline, proxies: Proxies) -> Self {
        let system = SystemTrust::default();
        Self(Arc::new(Shared {
            endpoints: ArcSwap::default(),
            addresses: OutsideClient::new(Trust::System(system.clone()), proxies.clone()),
            system,
            proxies,
            pipeline,
        }))
    }

    /// Puts these endpoints into force. One that cannot be used is logged, and its former version stays.
    pub async fn replace(&self, all: Vec<EndpointSettings>) {
        let old = self.0.endpoints.load_full();
        let mut new = HashMap::with_capacity(all.len());
        for settings in all {
            let name = settings.name.clone();
            let known = old.get(&name);
            if let Some(known) = known.filter(|known| known.settings == settings) {
                new.insert(name, Arc::clone(known));
                continue;
            }
            match Endpoint::build(settings, (&self.0.system, &self.0.proxies)).await {
                Ok(endpoint) => {
                    new.insert(name, Arc::new(endpoint));
                }
                Err(error) => {
                    let kept = known.is_some();
                    tracing::error!(%error, endpoint = name, former_version_kept = kept, "HTTPEndpoint cannot be used");
                    new.extend(known.map(|known| (name, Arc::clone(known))));
                }
            }
        }
        self.0.endpoints.store(Arc::new(new));
    }

    /// What lies outside under this target, if anything does. A name counts with or without a namespace.
    pub(super) fn find<'a>(&self, target: &'a str) -> Option<External<'a>> {
        if is_address(target) {
            return Some(External::Address(target));
        }
        let endpoints = self.0.endpoints.load();
        if endpoints.is_empty() {
            return None;
        }
        let name = target.split('.').next().unwrap_or_default();
        endpoints.get(name).cloned().map(External::Endpoint)
    }

    /// Calls a target outside.
    ///
    /// # Errors
    /// Its address is malformed, it is away, is not trusted, or broke off.
    pub(super) async fn invoke(
        &self,
        external: External<'_>,
        call: Call,
    ) -> Result<Answer, CallError> {
        let pipeline = &self.0.pipeline;
        let response = match external {
            External::Endpoint(endpoint) => {
                let call = request(&endpoint.settings.base_url, call, endpoint.headers.clone())?;
                let send = |call| endpoint.client.send_following(call);
                call.through(pipeline, send).await
            }
            External::Address(base) => {
                let call = request(base, call, HeaderMap::new())?;
                let send = |call| self.0.addresses.send(call);
                call.through(pipeline, send).await
            }
        };
        Ok(answer_of(response?))
    }
}

impl EndpointSettings {
    /// TLS 1.3 knows no renegotiation, and servers of TLS 1.2 that ask for it are rare: such a connection ends.
    fn check_renegotiation(&self) -> Result<(), InvalidEndpoint> {
        let Some(wish) = &self.renegotiation else {
            return Ok(());
        };
        match wish.as_str() {
            "Never" => Ok(()),
            "OnceAsClient" | "FreelyAsClient" => {
                let endpoint = &self.name;
                tracing::warn!(%endpoint, "TLS renegotiation is not there in Trilby: a server that asks for it ends the connection");
                Ok(())
            }
            _ => Err(InvalidEndpoint::Renegotiation(wish.clone())),
        }
    }
}

/// Whether a target is an address rather than a name.
fn is_address(target: &str) -> bool {
    target.starts_with("http://") || target.starts_with("https://")
}

impl Endpoint {
    async fn build(
        settings: EndpointSettings,
        (system, proxies): (&SystemTrust, &Proxies),
    ) -> Result<Self, InvalidEndpoint> {
        let url = &settings.base_url;
        if !is_address(url) || place(url, "", "").is_err() {
            return Err(InvalidEndpoint::BaseUrl(url.clone()));
        }
        settings.check_renegotiation()?;
        let mut headers = HeaderMap::with_capacity(settings.headers.len());
        for (name, value) in &settings.headers {
            let parsed = (HeaderName::try_from(name), HeaderValue::try_from(value));
            let (Ok(name), Ok(mut value)) = parsed else {
                return Err(InvalidEndpoint::Header(name.clone()));
            };
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let trust = Trust::configured(&settings.tls, system).await?;
        let client = OutsideClient::new(trust, proxies.clone());
        Ok(Self {
            settings,
            headers,
            client,
        })
    }
}

fn request(base: &str, call: Call, own_headers: HeaderMap) -> Result<OutsideCall, CallError> {
    let method = method_of(call.verb)?;
    let (uri, credentials) = place(base, &call.method, &call.query)?;
    let mut headers = to_http(tracing_context::for_http(call.headers, call.origin));
    // Who a call is from and for is for Dapr's applications to know, and nobody outside could check a claim.
    for name in [CALLER_NAMESPACE, CALLER_ID, CALLEE_ID, API_TOKEN] {
        headers.remove(name);
    }
    if let Ok(value) = HeaderValue::from_str(&call.content_type)
        && !value.is_empty()
    {
        headers.insert(CONTENT_TYPE, value);
    }
    if let Some(credentials) = credentials {
        headers.entry(AUTHORIZATION).or_insert(credentials);
    }
    let body = match call.body {
        Payload::Bytes(bytes) => Ok(bytes),
        Payload::Stream(body) => Err(body),
    };
    let empty = body.as_ref().is_ok_and(|bytes| bytes.is_empty());
    if empty && matches!(method, Method::POST | Method::PUT | Method::PATCH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Ok(OutsideCall {
        method,
        uri,
        headers,
        own_headers,
        body,
    })
}

/// Base, `/`, method, `?` and query, put together as text, as upstream does: a base with a path of its own keeps it.
/// User and password in it become a header.
fn place(base: &str, method: &str, query: &str) -> Result<(Uri, Option<HeaderValue>), CallError> {
    let slash = if method.is_empty() || method.starts_with('/') {
        ""
    } else {
        "/"
    };
    let mark = if query.is_empty() { "" } else { "?" };
    let path = escape_path(method).map_err(|bad| {
        CallError::unknown(format!(
            "parse \"{base}{slash}{method}\": invalid URL escape {bad:?}"
        ))
    })?;
    let text = format!("{base}{slash}{path}{mark}{}", escape_query(query));
    let malformed = |reason: String| CallError::unknown(format!("parse {text:?}: {reason}"));
    let uri: Uri = text
        .parse()
        .map_err(|error: http::uri::InvalidUri| malformed(error.to_string()))?;
    let mut parts = uri.into_parts();
    let authority = parts
        .authority
        .take()
        .ok_or_else(|| malformed("no host".to_owned()))?;
    let Some((user, host)) = authority.as_str().rsplit_once('@') else {
        parts.authority = Some(authority);
        let uri = Uri::from_parts(parts).map_err(|error| malformed(error.to_string()))?;
        return Ok((uri, None));
    };
    let bare = Authority::try_from(host).map_err(|error| malformed(error.to_string()))?;
    parts.authority = Some(bare);
    let uri = Uri::from_parts(parts).map_err(|error| malformed(error.to_string()))?;
    Ok((uri, basic(user)))
}

fn basic(user: &str) -> Option<HeaderValue> {
    let user = if user.contains(':') {
        user.to_owned()
    } else {
        format!("{user}:")
    };
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(user))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests;
