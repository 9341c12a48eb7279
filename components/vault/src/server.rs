//! The server's HTTP API: one request at a time, bounded in time and size.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header::LOCATION};
use serde::Deserialize;
use trilby_https::{Client, Limits};

use crate::token::Token;

const TOKEN: &str = "x-vault-token";
/// Asks a Vault Agent on the way to believe that this comes from no browser.
const REQUEST: &str = "x-vault-request";
/// The largest answer, in bytes; Vault's own storage takes a secret of at most 1 MiB.
const MOST_ANSWER: usize = 16 << 20;
/// As much of a refusal as is told, in bytes.
const MOST_REASON: usize = 300;
/// Redirects that are followed: a standby server names the active one.
const MOST_REDIRECTS: usize = 3;
const LIMITS: Limits = Limits {
    time: Duration::from_secs(10),
    size: MOST_ANSWER,
};

/// Why there is no answer of use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server is away.
    #[error("{0}")]
    Away(#[from] trilby_https::Error),
    /// The server answered with an error.
    #[error("status code {status}, body {reason}")]
    Refused {
        status: StatusCode,
        /// What it said, shortened.
        reason: String,
        /// Whether it named an error of its own.
        explained: bool,
    },
    /// The path of a request, or where the server sends it, is none.
    #[error("{0:?} is no URL to ask")]
    Url(String),
    /// The server sends everything elsewhere.
    #[error("stopped after {MOST_REDIRECTS} redirects")]
    Redirects,
}

/// One request, without its token.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    /// Below `/v1/`, escaped.
    pub(crate) path: String,
    pub(crate) body: &'static str,
}

impl Ask {
    pub(crate) fn get(path: String) -> Self {
        let method = Method::GET;
        Self {
            method,
            path,
            body: "",
        }
    }

    /// The names right below a folder.
    pub(crate) fn list(path: String) -> Self {
        let method = Method::from_bytes(b"LIST").expect("letters are a method");
        Self {
            method,
            path,
            body: "",
        }
    }

    /// That the token lives longer.
    pub(crate) fn renew() -> Self {
        Self {
            method: Method::POST,
            path: "auth/token/renew-self".to_owned(),
            body: "{}",
        }
    }
}

/// A server.
#[derive(Debug)]
pub(crate) struct Server {
    client: Client,
    /// `https://host:port`, and what comes before `/v1`, without a slash at its end.
    base: String,
}

impl Server {
    pub(crate) fn new(client: Client, base: String) -> Self {
        Self { client, base }
    }

    /// What it answers with success.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(crate) async fn ask(&self, ask: &Ask, token: &Token) -> Result<Bytes, Failure> {
        let asking = self.follow(ask, token);
        let answer = tokio::time::timeout(LIMITS.time, asking).await;
        let answer = answer.map_err(|_| trilby_https::Error::Timeout(LIMITS.time))??;
        if answer.status().is_success() {
            return Ok(answer.into_body());
        }
        Err(refusal(&answer))
    }

    async fn follow(&self, ask: &Ask, token: &Token) -> Result<Response<Bytes>, Failure> {
        let mut url = format!("{}/v1/{}", self.base, ask.path);
        for _ in 0..=MOST_REDIRECTS {
            let uri: Uri = url.parse().map_err(|_| Failure::Url(url.clone()))?;
            let request = Request::builder()
                .method(&ask.method)
                .uri(&uri)
                .header(TOKEN, token.header())
                .header(REQUEST, HeaderValue::from_static("true"))
                .body(Bytes::from_static(ask.body.as_bytes()));
            let request = request.map_err(|_| Failure::Url(url.clone()))?;
            let answer = self.client.send(request, LIMITS).await?;
            match elsewhere(&uri, &answer) {
                Some(next) => url = next?,
                None => return Ok(answer),
            }
        }
        Err(Failure::Redirects)
    }
}

/// Where a redirect leads; `None` for any other answer. The token goes along, but never where TLS ends.
fn elsewhere(from: &Uri, answer: &Response<Bytes>) -> Option<Result<String, Failure>> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let to = String::from_utf8_lossy(answer.headers().get(LOCATION)?.as_bytes()).into_owned();
    if to.starts_with('/') {
        let (scheme, authority) = (from.scheme_str()?, from.authority()?);
        return Some(Ok(format!("{scheme}://{authority}{to}")));
    }
    let is_tls = from.scheme_str() == Some("https");
    if is_tls && !to.starts_with("https://") {
        return Some(Err(Failure::Url(to)));
    }
    Some(Ok(to))
}

/// What Vault says about an error.
#[derive(Deserialize)]
struct Errors {
    errors: Vec<String>,
}

fn refusal(answer: &Response<Bytes>) -> Failure {
    let body = answer.body();
    let errors = serde_json::from_slice(body).map(|Errors { errors }| errors);
    let text = match &errors {
        Ok(errors) if !errors.is_empty() => errors.join("; "),
        _ => String::from_utf8_lossy(body).into_owned(),
    };
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = text.floor_char_boundary(MOST_REASON);
    Failure::Refused {
        status: answer.status(),
        reason: text[..end].to_owned(),
        explained: errors.is_ok_and(|errors| !errors.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirect(to: &str) -> Response<Bytes> {
        let answer = Response::builder().status(307).header(LOCATION, to);
        answer.body(Bytes::new()).unwrap()
    }

    #[test]
    fn a_standby_names_the_active_server_and_the_token_stays_within_tls() {
        let from = Uri::from_static("https://standby:8200/v1/secret/data/a?version=0");
        let to = |to| elsewhere(&from, &redirect(to)).unwrap();
        let active = "https://active:8200/v1/secret/data/a?version=0";
        assert_eq!(to(active).unwrap(), active);
        assert_eq!(to("/v1/b").unwrap(), "https://standby:8200/v1/b");
        assert!(matches!(to("http://active/v1/b"), Err(Failure::Url(_))));
        let answer = Response::new(Bytes::new());
        assert!(elsewhere(&from, &answer).is_none());
    }

    #[test]
    fn a_refusal_tells_what_the_server_said_and_no_more_than_that_much() {
        let told = |body: String| {
            let answer = Response::builder().status(403).body(body.into()).unwrap();
            refusal(&answer).to_string()
        };
        let denied = told(r#"{"errors": ["1 error occurred:\n\t* permission denied\n\n"]}"#.into());
        let text = "status code 403 Forbidden, body 1 error occurred: * permission denied";
        assert_eq!(denied, text);
        assert!(told("ä".repeat(1000)).len() < 400);
    }
}
