//! `routerchecker`: lets through only requests whose path and query match a rule.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Request, Response, StatusCode};
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::{
    metadata::{Metadata, MetadataError, Schema},
    middleware::{Body, HttpMiddleware, Next, text},
    registry::InitError,
};

use crate::uri::path_and_query;

/// The metadata of `routerchecker`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Settings {
    /// A regular expression that path and query, escaped as sent, have to match somewhere. Without one,
    /// everything matches.
    #[serde(default)]
    rule: String,
}

impl Schema for Settings {}

pub(crate) fn create(metadata: &Metadata) -> Result<Arc<dyn HttpMiddleware>, InitError> {
    let Settings { rule } = metadata.decode()?;
    let rule = Regex::new(&rule).map_err(|error| {
        MetadataError::invalid("rule", format!("failed to compile rule regexp: {error}"))
    })?;
    Ok(Arc::new(Checker { rule }))
}

struct Checker {
    rule: Regex,
}

#[async_trait]
impl HttpMiddleware for Checker {
    async fn handle(&self, request: Request<Body>, next: Next<'_>) -> Response<Body> {
        if !self.rule.is_match(path_and_query(request.uri())) {
            return text(StatusCode::BAD_REQUEST, "invalid router");
        }
        next.run(request).await
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use crate::testing::{answer, created, get, refused};

    #[tokio::test]
    async fn what_does_not_match_is_a_bad_request() {
        let checker = created("routerchecker", &[("rule", "^[A-Za-z0-9/._-]+$")]).await;
        assert_eq!(
            answer(&*checker, get("/v1.0/invoke/a.b/method/c")).await.0,
            StatusCode::OK
        );
        for path in ["/v1.0/invoke/a%20b", "/a?q=1"] {
            let (status, body) = answer(&*checker, get(path)).await;
            assert_eq!(
                (status, body.as_str()),
                (StatusCode::BAD_REQUEST, "invalid router")
            );
        }
    }

    #[tokio::test]
    async fn a_bad_rule_is_refused() {
        let error = refused("routerchecker", &[("rule", "([")]).await;
        assert!(error.contains("rule"), "{error}");
    }
}
