//! `opa`: HTTP middleware that asks a policy in Rego, which is evaluated in this process.
//!
//! [`settings`] is the component's metadata, [`input`] what a policy sees of a request, [`verdict`] what its answer
//! means. A policy is compiled once; each evaluation has a copy of its own and a limit on time.
//!
//! Deliberately absent: bundles, decision logs and every other part of an OPA server; builtins that reach out of the
//! process (`http.send`).

mod input;
mod policy;
mod settings;
mod verdict;

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, Request, Response, StatusCode, request::Parts};
use tracing::warn;
use trilby_components::{
    definition::Definition,
    metadata::Metadata,
    middleware::{Body, HttpMiddleware, Next, collect, full, refusal},
    registry::{Backend, Block, InitError},
};

use policy::Policy;
use settings::Settings;
use verdict::Verdict;

/// The largest body that a policy is shown, in bytes. Bodies of the sidecar's API are limited by
/// `--max-body-size` before.
const MOST_BODY: usize = 64 << 20;
/// Marks an answer that no policy gave.
const ERROR_HEADER: &str = "x-dapr-opa-error";

/// Every middleware of this crate.
#[must_use]
pub fn backends() -> Vec<Backend> {
    vec![Backend::middleware("opa", async |_, metadata| {
        create(&metadata)
    })]
}

/// What its types take and can do.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    vec![Definition::new(Block::Middleware, "opa").taking::<Settings>()]
}

fn create(metadata: &Metadata) -> Result<Arc<dyn HttpMiddleware>, InitError> {
    let settings: Settings = metadata.decode()?;
    Ok(Arc::new(Opa {
        policy: Policy::compile(&settings.rego)?,
        default_status: settings.default_status()?,
        included_headers: settings.included_headers(),
        read_body: settings.read_body,
    }))
}

struct Opa {
    policy: Policy,
    default_status: StatusCode,
    included_headers: Vec<http::HeaderName>,
    read_body: bool,
}

impl Opa {
    fn judge(&self, head: &Parts, body: &str) -> Result<Verdict, String> {
        let input = input::document(head, &self.included_headers, body);
        let result = self.policy.evaluate(input)?;
        Verdict::read(&result, self.default_status)
    }

    fn failed(&self, reason: &str) -> Response<Body> {
        warn!(
            reason,
            "the policy gave no usable answer, the request is refused"
        );
        let mut response = refusal(self.default_status);
        let yes = http::HeaderValue::from_static("true");
        response.headers_mut().insert(ERROR_HEADER, yes);
        response
    }
}

#[async_trait]
impl HttpMiddleware for Opa {
    async fn handle(&self, request: Request<Body>, next: Next<'_>) -> Response<Body> {
        let (mut head, mut body) = request.into_parts();
        let mut shown = String::new();
        if self.read_body {
            match collect(body, MOST_BODY).await {
                Ok(bytes) => {
                    shown = String::from_utf8_lossy(&bytes).into_owned();
                    body = full(bytes);
                }
                Err(error) => return self.failed(&error.to_string()),
            }
        }
        match self.judge(&head, &shown) {
            Ok(Verdict::Allow { headers }) => {
                replace(&mut head.headers, headers);
                next.run(Request::from_parts(head, body)).await
            }
            Ok(Verdict::Deny { status, headers }) => {
                let mut response = refusal(status);
                replace(response.headers_mut(), headers);
                response
            }
            Err(reason) => self.failed(&reason),
        }
    }
}

/// Headers of the policy's take the place of those of the same name.
fn replace(headers: &mut HeaderMap, new: HeaderMap) {
    let mut last = None;
    for (name, value) in new {
        last = name.or(last);
        if let Some(name) = &last {
            headers.insert(name.clone(), value);
        }
    }
}

#[cfg(test)]
mod tests;
