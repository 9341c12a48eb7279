//! The HTTP servers: what happens to every request before and after its route.
//!
//! Order, as upstream's: preflight of browsers → token → middleware → log → route. Metrics see all of them.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use http::{HeaderMap, Request, Response, StatusCode};
use tower::Service;

use super::escape::{BadEscape, QueryString};
use super::log::Line;
use super::measure::Measured;
use super::respond::{HttpResponse, empty, failed, text};
use super::route::Route;
use super::spans::describe_route;
use super::unread::read_on;
use super::{
    HttpApi, actors, bindings, configuration, crypto, health, invoke, lock, metadata, publish,
    secrets, state, subtle,
};
use crate::api::traced::{Traced, refused_http};
use crate::blocks::invoke::headers::API_TOKEN;
use crate::error::ApiError;
use crate::payload::{CollectError, collect};

type Answering = Pin<Box<dyn Future<Output = Result<HttpResponse, Infallible>> + Send>>;

/// The HTTP API as a service.
#[derive(Debug, Clone)]
pub struct HttpService(Arc<HttpApi>);

impl HttpService {
    /// Serves `api`.
    pub fn new(api: Arc<HttpApi>) -> Self {
        Self(api)
    }
}

impl<B> Service<Request<B>> for HttpService
where
    B: http_body::Body<Data = bytes::Bytes> + Send + Unpin + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = HttpResponse;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        let api = Arc::clone(&self.0);
        Box::pin(async move { Ok(api.serve(read_on(request)).await) })
    }
}

impl HttpApi {
    async fn serve(&self, mut request: Request<Body>) -> HttpResponse {
        let traced = match Traced::http(&self.tracing, &mut request) {
            Ok(traced) => traced,
            Err(error) => return refused_http(&error),
        };
        let mut response = self.untraced(request).await;
        if let Some(traced) = traced {
            traced.answer_http(&mut response);
        }
        response
    }

    async fn untraced(&self, request: Request<Body>) -> HttpResponse {
        let measured = Measured::new(&request);
        if let Some(response) = self.cors.preflight(&request) {
            return measured.finish(&self.metrics, response);
        }
        let marks = self.cors.marks(&request);
        let mut response = self.observed(request).await;
        if let Some(marks) = marks {
            marks.put(response.headers_mut());
        }
        measured.finish(&self.metrics, response)
    }

    async fn observed(&self, mut request: Request<Body>) -> HttpResponse {
        let route = Route::find(request.method(), request.uri().path());
        match route {
            Ok(route) if !self.authorised(&route, request.headers_mut()) => {
                text(StatusCode::UNAUTHORIZED, "invalid api token")
            }
            route => match self.pipeline.current() {
                None => self.routed(route, request).await,
                // Middleware may have changed the path.
                Some(chain) => {
                    let again = |request: Request<Body>| async move {
                        let route = Route::find(request.method(), request.uri().path());
                        self.routed(route, request).await
                    };
                    Box::pin(chain.run(request, again)).await
                }
            },
        }
    }

    async fn routed(
        &self,
        route: Result<Route, BadEscape>,
        request: Request<Body>,
    ) -> HttpResponse {
        let logged = Line::begin(**self.api_logging.now(), &request, route.as_ref().ok());
        if let Ok(route) = &route {
            describe_route(&request, route);
        }
        let response = match route {
            Ok(route) => self.dispatch(self.permitted(route), request).await,
            Err(bad) => text(StatusCode::BAD_REQUEST, bad.to_string()),
        };
        match logged {
            Some(line) => line.finish(response),
            None => response,
        }
    }

    /// Checks the token and takes it out of the request. Health needs none.
    fn authorised(&self, route: &Route, headers: &mut HeaderMap) -> bool {
        let shown = headers.remove(API_TOKEN);
        matches!(route, Route::Health | Route::HealthOutbound) || self.token.accepts(shown.as_ref())
    }

    /// What the whole network may read, only holders of a token may write.
    fn may_write(&self, route: &Route, headers: &HeaderMap) -> bool {
        !matches!(route, Route::SetMetadata { .. }) || self.token.accepts(headers.get(API_TOKEN))
    }

    /// A route that rules refuse does not exist, so its request is an invocation.
    fn permitted(&self, route: Route) -> Route {
        let rules = self.rules.now();
        if rules.is_empty() {
            return route;
        }
        match route.group() {
            Some(group)
                if !rules.allow_http(group.name, group.template.trim_start_matches('/')) =>
            {
                match route {
                    Route::Invoke => Route::Refused,
                    _ => Route::Invoke,
                }
            }
            _ => route,
        }
    }

    async fn dispatch(&self, route: Route, request: Request<Body>) -> HttpResponse {
        match route {
            Route::Health => health::health(self, &request),
            Route::HealthOutbound => health::outbound(self),
            Route::GetMetadata => metadata::get(&self.blocks),
            Route::SetMetadata { key } => metadata::set(self, key, request).await,
            Route::Shutdown => {
                self.shutdown.ask(request.headers().into());
                empty()
            }
            Route::State(route) => state::serve(self, route, request).await,
            Route::GetSecret { store, name } => {
                secrets::get(&self.blocks, (&store, &name), metadata_of(&request)).await
            }
            Route::BulkSecrets { store } => {
                secrets::bulk(&self.blocks, &store, metadata_of(&request)).await
            }
            Route::Lock(route) => lock::serve(self, route, request).await,
            Route::InvokeBinding { name } => bindings::invoke(self, &name, request).await,
            Route::Configuration(route) => {
                configuration::serve(&self.blocks, route, request.uri().query()).await
            }
            Route::Publish(route) => Box::pin(publish::serve(self, route, request)).await,
            Route::Actor {
                actor_type,
                actor_id,
                operation,
            } => {
                Box::pin(actors::serve(
                    self,
                    (actor_type, actor_id),
                    operation,
                    request,
                ))
                .await
            }
            Route::Crypto { provider, route } => {
                Box::pin(crypto::serve(self, (provider, route), request)).await
            }
            Route::Subtle { provider, route } => {
                Box::pin(subtle::serve(self, (provider, route), request)).await
            }
            Route::Absent(group) => failed(&ApiError::not_there_yet(group.name)),
            Route::Invoke => invoke::serve(self, request).await,
            Route::Refused => failed(&invoke::no_target()),
        }
    }
}

/// The whole body of a request.
///
/// # Errors
/// It is larger than allowed, or the client went away.
pub(super) async fn body_of(api: &HttpApi, body: Body) -> Result<bytes::Bytes, CollectError> {
    collect(body, api.max_body).await
}

/// The metadata in a request's query.
pub(super) fn metadata_of(request: &Request<Body>) -> trilby_components::RequestMetadata {
    QueryString::new(request.uri().query())
        .metadata()
        .into_iter()
        .collect()
}

/// The public server: health and metadata only, for everyone.
#[derive(Debug, Clone)]
pub struct PublicService(Arc<HttpApi>);

impl PublicService {
    /// Serves the public part of `api`.
    pub fn new(api: Arc<HttpApi>) -> Self {
        Self(api)
    }

    async fn serve(self, mut request: Request<Body>) -> HttpResponse {
        let traced = match Traced::http(&self.0.tracing, &mut request) {
            Ok(traced) => traced,
            Err(error) => return refused_http(&error),
        };
        let mut response = self.untraced(request).await;
        if let Some(traced) = traced {
            traced.answer_http(&mut response);
        }
        response
    }

    async fn untraced(self, request: Request<Body>) -> HttpResponse {
        match Route::find(request.method(), request.uri().path()) {
            Ok(
                route @ (Route::Health
                | Route::HealthOutbound
                | Route::GetMetadata
                | Route::SetMetadata { .. }),
            ) if self.0.may_write(&route, request.headers()) => {
                self.0.dispatch(route, request).await
            }
            Ok(Route::SetMetadata { .. }) => text(StatusCode::UNAUTHORIZED, "invalid api token"),
            Ok(_) => text(StatusCode::NOT_FOUND, "404 page not found\n"),
            Err(bad) => text(StatusCode::BAD_REQUEST, bad.to_string()),
        }
    }
}

impl<B> Service<Request<B>> for PublicService
where
    B: http_body::Body<Data = bytes::Bytes> + Send + Unpin + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        let service = self.clone();
        Box::pin(async move { Ok(service.serve(read_on(request)).await) })
    }
}
