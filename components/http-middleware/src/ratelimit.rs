//! `ratelimit`: so many requests a second from each client.
//!
//! A client is its address: the last entry of `X-Forwarded-For`, else `X-Real-IP`, else the other end of the
//! connection; of IPv6 addresses the first 64 bits. The path plays no part, so a client gains nothing by
//! asking for other paths.

mod buckets;

use std::{
    hash::{BuildHasher as _, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Instant;
use trilby_components::{
    metadata::{Metadata, Schema},
    middleware::{Body, HttpMiddleware, Next, RemoteAddress, text},
    registry::InitError,
};

use buckets::{Buckets, Take};

const FORWARDED_FOR: &str = "x-forwarded-for";
const REAL_IP: &str = "x-real-ip";
/// The address of a request that has none, such as the sidecar's own.
const NOBODY: &str = "0.0.0.0";

/// The metadata of `ratelimit`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// Requests a second, not necessarily a whole number; as many, but at least one, may come at once.
    #[serde(default = "default_rate")]
    max_requests_per_second: f64,
}

fn default_rate() -> f64 {
    100.0
}

impl Schema for Settings {}

pub(crate) fn create(metadata: &Metadata) -> Result<Arc<dyn HttpMiddleware>, InitError> {
    let rate = metadata.decode::<Settings>()?.max_requests_per_second;
    if !rate.is_finite() || rate <= 0.0 {
        let reason = "metadata property maxRequestsPerSecond must be a positive value";
        return Err(InitError::Invalid(reason.to_owned()));
    }
    Ok(Arc::new(RateLimit {
        rate,
        hasher: RandomState::new(),
        buckets: Buckets::new(rate),
    }))
}

struct RateLimit {
    rate: f64,
    /// Keys are hashes, so that a long forged address takes no more room than another.
    hasher: RandomState,
    buckets: Buckets,
}

#[async_trait]
impl HttpMiddleware for RateLimit {
    async fn handle(&self, request: Request<Body>, next: Next<'_>) -> Response<Body> {
        let remote = request.extensions().get::<RemoteAddress>().copied();
        let forwarded = forwarded_for(request.headers()).cloned();
        let client = self.hasher.hash_one(client(request.headers(), remote));
        let take = self.buckets.take(client, Instant::now());
        let mut response = match take {
            Take::Refused => text(
                StatusCode::TOO_MANY_REQUESTS,
                "You have reached maximum request limit.",
            ),
            Take::Granted { .. } => next.run(request).await,
        };
        self.describe(response.headers_mut(), (forwarded, remote), take);
        response
    }
}

impl RateLimit {
    /// The headers that tell a client of its limit.
    fn describe(
        &self,
        headers: &mut HeaderMap,
        (forwarded, remote): (Option<HeaderValue>, Option<RemoteAddress>),
        take: Take,
    ) {
        let left = match take {
            Take::Refused => 0,
            Take::Granted { left } => left,
        };
        let remote = remote.map_or_else(String::new, |RemoteAddress(address)| address.to_string());
        for (name, value) in [
            ("x-rate-limit-limit", format!("{:.2}", self.rate)),
            ("x-rate-limit-duration", "1".to_owned()),
            ("x-rate-limit-request-remote-addr", remote),
            ("ratelimit-limit", format!("{:.0}", self.rate.round())),
            ("ratelimit-reset", "1".to_owned()),
            ("ratelimit-remaining", left.to_string()),
        ] {
            let value =
                HeaderValue::try_from(value).expect("numbers and addresses fit into a header");
            headers.append(name, value);
        }
        if let Some(forwarded) = forwarded {
            headers.append("x-rate-limit-request-forwarded-for", forwarded);
        }
    }
}

fn forwarded_for(headers: &HeaderMap) -> Option<&HeaderValue> {
    let value = headers.get(FORWARDED_FOR)?;
    (!value.as_bytes().trim_ascii().is_empty()).then_some(value)
}

/// Whom a request counts for.
fn client(headers: &HeaderMap, remote: Option<RemoteAddress>) -> String {
    let text = |value: &HeaderValue| Some(value.to_str().ok()?.to_owned());
    let forwarded = headers.get(FORWARDED_FOR).and_then(text);
    let last = forwarded
        .as_deref()
        .and_then(|list| list.rsplit(',').next());
    let named = match last {
        Some(last) => last.trim().to_owned(),
        None => match headers.get(REAL_IP).and_then(text) {
            Some(real) => real,
            None => remote.map_or_else(String::new, |RemoteAddress(address)| {
                address.ip().to_string()
            }),
        },
    };
    if named.is_empty() {
        return NOBODY.to_owned();
    }
    match named.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => network(address).to_string(),
        _ => named,
    }
}

/// The network that an address belongs to: hosts have 64 bits of their own.
fn network(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))
}

#[cfg(test)]
mod tests;
