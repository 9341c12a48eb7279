//! The middleware: borrows a guest for each request.

use async_trait::async_trait;
use http::{HeaderMap, Request, Response, StatusCode, request};
use tracing::{debug, warn};
use trilby_components::middleware::{
    Body, HttpMiddleware, Next, RemoteAddress, collect, empty, full, refusal,
};
use trilby_components::{
    metadata::Metadata,
    registry::{ComponentContext, InitError},
};

use crate::exchange::{Content, Exchange, MOST_BODY};
use crate::guest::{Decision, Guest};
use crate::module::{Compiled, Told};
use crate::pool::{NoGuest, Pool};
use crate::settings::Settings;

/// The middleware.
#[derive(Debug)]
pub(crate) struct Wasm {
    component: String,
    pool: Pool,
}

impl Wasm {
    /// Gets the guest and compiles it.
    pub(crate) async fn load(
        context: &ComponentContext,
        metadata: &Metadata,
    ) -> Result<Self, InitError> {
        let settings: Settings = metadata.decode()?;
        let binary = settings.guest().await?;
        let told = Told {
            component: context.name.clone(),
            config: settings.guest_config,
            strict: settings.strict_sandbox || context.strict_sandbox,
        };
        let pool = Pool::new(Compiled::new(&binary, told)?).await;
        Ok(Self {
            component: context.name.clone(),
            pool: pool.map_err(|reason| InitError::Invalid(format!("wasm: {reason}")))?,
        })
    }

    fn failed(&self, reason: &str) -> Response<Body> {
        let component = &self.component;
        warn!(
            component,
            reason, "the guest failed, the request is refused"
        );
        refusal(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn tell(&self, (stdout, stderr): (Vec<u8>, Vec<u8>)) {
        let component = &self.component;
        for (stream, output) in [("stdout", stdout), ("stderr", stderr)] {
            if !output.is_empty() {
                debug!(
                    component,
                    "wasm {stream}: {}",
                    String::from_utf8_lossy(&output)
                );
            }
        }
    }
}

#[async_trait]
impl HttpMiddleware for Wasm {
    async fn handle(&self, request: Request<Body>, next: Next<'_>) -> Response<Body> {
        let mut borrowed = match self.pool.borrow().await {
            Ok(borrowed) => borrowed,
            Err(NoGuest::Busy) => return refusal(StatusCode::SERVICE_UNAVAILABLE),
            Err(NoGuest::Failed(reason)) => return self.failed(&reason),
        };
        match answer(&mut borrowed.guest, request, next).await {
            Ok(response) => {
                self.tell(self.pool.give_back(borrowed));
                response
            }
            Err(reason) => {
                self.tell(borrowed.guest.reset());
                self.failed(&reason)
            }
        }
    }
}

/// Has a guest handle a request and, if it wants the next handler to answer, the response.
async fn answer(
    guest: &mut Guest,
    request: Request<Body>,
    next: Next<'_>,
) -> Result<Response<Body>, String> {
    let (mut head, body) = request.into_parts();
    let source = source(&head);
    *guest.exchange() = Exchange::new(&mut head, source);
    let mut body = Some(body);
    let own = match guest.handle_request(&mut body).await? {
        Decision::Answered => return Ok(answered(guest.exchange())),
        Decision::Next(own) => own,
    };
    let exchange = guest.exchange();
    let replaced = exchange.finish_request(&mut head).map(full);
    let body = replaced.or(body).unwrap_or_else(empty);
    let response = next.run(Request::from_parts(head, body)).await;
    hand_over(guest, own, response).await
}

fn source(head: &request::Parts) -> String {
    let address = head.extensions.get::<RemoteAddress>();
    address.map_or_else(String::new, |RemoteAddress(address)| address.to_string())
}

/// The guest's own response.
fn answered(exchange: &mut Exchange) -> Response<Body> {
    let mut headers = std::mem::take(&mut exchange.response_headers);
    let body = exchange.response_body.take(&mut headers);
    let mut response = Response::new(body.map_or_else(empty, full));
    *response.status_mut() = exchange.status;
    *response.headers_mut() = headers;
    response
}

/// Hands the next handler's response to the guest.
async fn hand_over(
    guest: &mut Guest,
    own: u32,
    response: Response<Body>,
) -> Result<Response<Body>, String> {
    let buffers = guest.buffers_response();
    let (mut head, mut body) = response.into_parts();
    let exchange = guest.exchange();
    exchange.after_next = true;
    exchange.status = head.status;
    let before = std::mem::take(&mut exchange.response_headers);
    exchange.response_headers = merged(std::mem::take(&mut head.headers), before);
    if buffers {
        let content = collect(body, MOST_BODY).await;
        let content = content.map_err(|error| format!("the response: {error}"))?;
        // What a guest wrote before it asked for the next handler is not what it answers.
        exchange.response_body = Content::of(content);
        body = empty();
    }
    guest.handle_response(own).await?;
    let exchange = guest.exchange();
    head.status = exchange.status;
    head.headers = std::mem::take(&mut exchange.response_headers);
    if buffers && let Some(content) = exchange.response_body.take(&mut head.headers) {
        body = full(content);
    }
    Ok(Response::from_parts(head, body))
}

/// Headers that the guest set before it asked for the next handler stay unless that one sets them.
fn merged(mut headers: HeaderMap, before: HeaderMap) -> HeaderMap {
    for name in before.keys() {
        if !headers.contains_key(name) {
            for value in before.get_all(name) {
                headers.append(name, value.clone());
            }
        }
    }
    headers
}
