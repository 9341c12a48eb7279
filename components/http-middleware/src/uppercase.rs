//! `uppercase`: bodies in capitals, as they stream by. For demonstrations and tests.

mod capitals;

use std::sync::Arc;

use async_trait::async_trait;
use http::{Request, Response, header::CONTENT_LENGTH};
use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::{
    metadata::{Metadata, Schema},
    middleware::{Body, HttpMiddleware, Next},
    registry::InitError,
};

/// The metadata of `uppercase`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Settings {
    /// Which bodies: `request`, `response` or `both`. Anything else is `request`.
    #[serde(default)]
    #[schemars(extend("default" = "request"))]
    direction: String,
}

impl Schema for Settings {}

pub(crate) fn create(metadata: &Metadata) -> Result<Arc<dyn HttpMiddleware>, InitError> {
    let Settings { direction } = metadata.decode()?;
    let direction = direction.to_lowercase();
    Ok(Arc::new(Uppercase {
        request: direction != "response",
        response: matches!(direction.as_str(), "response" | "both"),
    }))
}

struct Uppercase {
    request: bool,
    response: bool,
}

#[async_trait]
impl HttpMiddleware for Uppercase {
    async fn handle(&self, mut request: Request<Body>, next: Next<'_>) -> Response<Body> {
        if self.request {
            request = request.map(capitals::body);
        }
        let mut response = next.run(request).await;
        if self.response {
            // Capitals may be of another length.
            response.headers_mut().remove(CONTENT_LENGTH);
            response = response.map(capitals::body);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use trilby_components::middleware::{Body, Next, full};

    use crate::testing::{created, text};

    /// What the end got and what the client got, of `ab` sent and `cd` answered.
    async fn both(direction: &str) -> String {
        let uppercase = created("uppercase", &[("direction", direction)]).await;
        let end = |request: Request<Body>| async move {
            let got = text(Response::new(request.into_body())).await;
            let mut response = Response::new(full("cd"));
            response.extensions_mut().insert(got);
            response
        };
        let request = Request::new(full("ab"));
        let response = uppercase.handle(request, Next::new(&[], end)).await;
        let received = response.extensions().get::<String>().cloned();
        format!("{}|{}", received.unwrap(), text(response).await)
    }

    #[tokio::test]
    async fn the_direction_decides() {
        for (direction, expected) in [
            ("", "AB|cd"),
            ("Request", "AB|cd"),
            ("sideways", "AB|cd"),
            ("response", "ab|CD"),
            ("BOTH", "AB|CD"),
        ] {
            assert_eq!(both(direction).await, expected, "{direction}");
        }
    }
}
