//! OpenID Connect discovery: where those who get tokens find the keys that verify them.
//!
//! Everything here is public. What a document says comes from the flags and, where they say nothing, from the address
//! that the client asked (`Host`); what proxies add about that (`X-Forwarded-Host`) may close the door, never decide
//! what stands in a document.

mod hosts;
mod tls;

use std::{convert::Infallible, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response, StatusCode, Uri,
    header::{CACHE_CONTROL, CONTENT_TYPE, HOST},
};
use http_body_util::Full;
use serde::Serialize;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;
use trilby_bootstrap::Latch;
use trilby_grpc::{Protocols, ServeConfig, serve};

use crate::{issuer::Issuer, jose::Algorithm};
use hosts::AllowedHosts;
pub(crate) use tls::CertificateFiles;

const DISCOVERY: &str = "/.well-known/openid-configuration";
const KEYS: &str = "/jwks.json";

/// How long a client may take for a request's head, and open requests for their end.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const DRAIN: Duration = Duration::from_secs(5);

/// The most connections. Answers are small and cached by those who get them.
const MAX_CONNECTIONS: usize = 1024;

/// How discovery is served, by the flags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OidcSettings {
    /// What documents call the issuer; unset: the address that the client asked.
    pub(crate) issuer: Option<String>,
    /// Where the keys are; unset: here.
    pub(crate) jwks_uri: Option<String>,
    /// Before every path.
    pub(crate) path_prefix: Option<String>,
    /// Addresses to answer to; empty: all.
    pub(crate) allowed_hosts: Vec<String>,
    /// For TLS; unset: none.
    pub(crate) certificate: Option<CertificateFiles>,
}

/// Answers requests.
pub(crate) struct Discovery {
    issuer: Option<String>,
    jwks_uri: Option<String>,
    prefix: String,
    hosts: AllowedHosts,
    scheme: &'static str,
    algorithm: Algorithm,
    authority: watch::Receiver<Option<Arc<Issuer>>>,
}

#[derive(Serialize)]
struct Document<'a> {
    issuer: &'a str,
    jwks_uri: &'a str,
    response_types_supported: [&'a str; 1],
    subject_types_supported: [&'a str; 1],
    id_token_signing_alg_values_supported: [&'a str; 1],
    scopes_supported: [&'a str; 1],
    claims_supported: [&'a str; 7],
}

/// A document or a refusal.
type Answer = Result<String, (StatusCode, &'static str)>;

impl Discovery {
    /// Checks the settings.
    ///
    /// # Errors
    /// An address or a prefix that cannot be one.
    pub(crate) fn new(
        settings: &OidcSettings,
        algorithm: Algorithm,
        authority: watch::Receiver<Option<Arc<Issuer>>>,
    ) -> anyhow::Result<Self> {
        for (flag, address) in [
            ("jwt-issuer", &settings.issuer),
            ("oidc-jwks-uri", &settings.jwks_uri),
        ] {
            let parsed = address.as_deref().map(str::parse::<Uri>).transpose();
            parsed.with_context(|| format!("--{flag} is no URI"))?;
        }
        Ok(Self {
            issuer: settings.issuer.clone(),
            jwks_uri: settings.jwks_uri.clone(),
            prefix: prefix(settings.path_prefix.as_deref())?,
            hosts: AllowedHosts::new(&settings.allowed_hosts),
            scheme: if settings.certificate.is_some() {
                "https"
            } else {
                "http"
            },
            algorithm,
            authority,
        })
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        match self.document(request.method(), request.uri(), request.headers()) {
            Ok(document) => response(StatusCode::OK, "application/json", document),
            Err((status, text)) => {
                response(status, "text/plain; charset=utf-8", format!("{text}\n"))
            }
        }
    }

    fn document(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Answer {
        let path = uri.path().strip_prefix(&self.prefix).unwrap_or_default();
        if path != DISCOVERY && path != KEYS {
            return Err((StatusCode::NOT_FOUND, "404 page not found"));
        }
        let asked = headers.get(HOST).and_then(|host| host.to_str().ok());
        let asked = asked.or_else(|| uri.authority().map(http::uri::Authority::as_str));
        let asked = asked.unwrap_or_default();
        if !self.hosts.admit(asked, headers) {
            return Err((StatusCode::FORBIDDEN, "Forbidden: unauthorized domain"));
        }
        if method != Method::GET {
            return Err((StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"));
        }
        let issuer = self.authority.borrow().clone();
        let keys = issuer.as_ref().and_then(|issuer| issuer.tokens());
        let keys = keys.map(|tokens| tokens.key_set().to_json());
        match (path == KEYS, keys) {
            (true, Some(keys)) => Ok(keys),
            (true, None) => Err((StatusCode::NOT_FOUND, "JWKS not available")),
            (false, Some(_)) => self.discovery(self.hosts.own_name(asked)),
            (false, None) => Err((StatusCode::NOT_FOUND, "OIDC configuration not available")),
        }
    }

    fn discovery(&self, host: &str) -> Answer {
        let bad_host = (StatusCode::BAD_REQUEST, "Invalid host");
        let issuer = match &self.issuer {
            Some(issuer) => issuer.clone(),
            None => {
                let authority: http::uri::Authority = host.parse().map_err(|_| bad_host)?;
                format!("{}://{authority}", self.scheme)
            }
        };
        let jwks_uri = match &self.jwks_uri {
            Some(uri) => uri.clone(),
            None => format!("{}{}{KEYS}", origin(&issuer), self.prefix),
        };
        let document = Document {
            issuer: &issuer,
            jwks_uri: &jwks_uri,
            response_types_supported: ["id_token"],
            subject_types_supported: ["public"],
            id_token_signing_alg_values_supported: [self.algorithm.name()],
            scopes_supported: ["openid"],
            claims_supported: ["sub", "iss", "aud", "exp", "iat", "nbf", "use"],
        };
        Ok(serde_json::to_string(&document).expect("texts can be written as JSON"))
    }

    /// Serves until `cancel`; with certificate files, as soon as they are there.
    ///
    /// # Errors
    /// None; the tasks of a process may have some.
    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        (certificate, latch): (Option<CertificateFiles>, Latch),
        cancel: CancellationToken,
    ) -> anyhow::Result<()> {
        let tls = match &certificate {
            Some(files) => match cancel.run_until_cancelled(files.wait(&latch)).await {
                Some(tls) => Some(tls),
                None => return Ok(()),
            },
            None => None,
        };
        latch.ready();
        let discovery = Arc::new(self);
        let service = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
            let answer = discovery.answer(&request);
            async move { Ok::<_, Infallible>(answer) }
        });
        let config = ServeConfig {
            protocols: Protocols::Http1AndHttp2,
            head_timeout: HEAD_TIMEOUT,
            max_connections: MAX_CONNECTIONS,
            max_streams: Some(100),
            max_idle: Some(Duration::from_mins(2)),
            drain: DRAIN,
            ..ServeConfig::new("oidc")
        };
        let (config_of_tls, follow) = match tls {
            Some((config, follow)) => (Some(config), Some(follow)),
            None => (None, None),
        };
        let follow = async {
            match follow {
                Some(follow) => follow.run().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = serve(listener, config_of_tls, service, (config, cancel)) => Ok(()),
            never = follow => match never {},
        }
    }
}

/// A prefix as it stands before paths: begins with a slash and ends without, or is empty.
fn prefix(given: Option<&str>) -> anyhow::Result<String> {
    let given = given.unwrap_or_default();
    ensure!(
        given.is_empty() || given.starts_with('/'),
        "--oidc-path-prefix {given:?} has to start with a slash"
    );
    Ok(given.trim_end_matches('/').to_owned())
}

/// A URI without its path.
fn origin(uri: &str) -> &str {
    let start = uri.find("://").map_or(0, |at| at + 3);
    let end = uri[start..].find(['/', '?', '#']);
    end.map_or(uri, |end| &uri[..start + end])
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
    if status == StatusCode::OK {
        let cached = http::HeaderValue::from_static("public, max-age=3600");
        headers.insert(CACHE_CONTROL, cached);
    }
    response
}

#[cfg(test)]
mod tests;
