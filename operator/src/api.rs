//! The gRPC API that sidecars use.
//!
//! Everything comes from the views: a list is a view, a stream tells its changes. Both show a sidecar only what is for
//! its app.
//!
//! Generated code would encode each event for each stream, and keep two buffers of 8 KiB for each of the seven streams
//! of each sidecar. Here an event is encoded once, all streams share its bytes, and a stream without events has no
//! buffer.

mod authorization;
mod call;
mod method;
mod reports;
mod stream;

use std::{collections::HashMap, sync::Arc};

use http::{Extensions, request};
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body, server::NamedService};
use tracing::warn;
use trilby_identity::SpiffeId;
use trilby_proto::operator::v1::{
    GetConfigurationRequest, ListComponentsRequest, ListSubscriptionsRequest,
    operator_server::SERVICE_NAME,
};

use self::{
    authorization::{authorize, authorize_configuration},
    call::{Answer, read},
    method::Method,
    stream::{Follower, Sight},
};
pub(crate) use self::{call::Served, reports::ReportsApi};
use crate::{
    metrics::Metrics,
    pods::Assignments,
    resource::Kind,
    view::{Published, View, Views},
    wire,
};

#[cfg(test)]
mod tests;

/// The service. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api(Arc<Inner>);

struct Inner {
    views: HashMap<Kind, Views>,
    assignments: Assignments,
    metrics: Metrics,
    shutdown: CancellationToken,
}

impl Api {
    pub(crate) fn new(
        views: HashMap<Kind, Views>,
        assignments: Assignments,
        metrics: Metrics,
        shutdown: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner {
            views,
            assignments,
            metrics,
            shutdown,
        }))
    }
}

impl NamedService for Api {
    const NAME: &'static str = SERVICE_NAME;
}

impl call::Service for Api {
    async fn answer(self, head: request::Parts, body: Body) -> Result<Answer, Status> {
        let (name, method) = Method::of(head.uri.path())?;
        let answer = self.0.answer(method, &head.extensions, body).await;
        answer.inspect_err(|status| self.0.note_refusal(name, &head.extensions, status))
    }
}

impl Inner {
    async fn answer(
        &self,
        method: Method,
        extensions: &Extensions,
        body: Body,
    ) -> Result<Answer, Status> {
        match method {
            Method::List(kind) => {
                let id = authorize(extensions, &namespace(kind, body).await?)?;
                Ok(Answer::Message(self.list(kind, &id)))
            }
            Method::Follow(kind) => {
                // The requests of all kinds are alike.
                let request: ListComponentsRequest = read(body).await?;
                let id = match kind {
                    Kind::Configuration => authorize_configuration(extensions, &request.namespace)?,
                    _ => authorize(extensions, &request.namespace)?,
                };
                Ok(Answer::Stream(self.follow(kind, id).into_frames()))
            }
            Method::Get(kind) => {
                let request: GetConfigurationRequest = read(body).await?;
                let id = authorize(extensions, &request.namespace)?;
                self.get(kind, &id, &request.name)
            }
            // Upstream asks the second version for the empty namespace, so this never was allowed.
            Method::ListSubscriptions => authorize(extensions, "").and(Err(Status::internal(
                "subscriptions are listed by ListSubscriptionsV2",
            ))),
        }
    }

    fn view(&self, kind: Kind, id: &SpiffeId) -> Arc<View> {
        self.views[&kind].get(id.namespace())
    }

    /// What the caller may see of a kind in its namespace.
    fn list(&self, kind: Kind, id: &SpiffeId) -> bytes::Bytes {
        let view = self.view(kind, id);
        let seen = view.values();
        wire::reply(
            seen.filter(|resource| resource.in_scope_of(id.app_id()))
                .map(|resource| &resource.encoded),
        )
    }

    fn get(&self, kind: Kind, id: &SpiffeId, name: &str) -> Result<Answer, Status> {
        let view = self.view(kind, id);
        let Some(Published { encoded, .. }) = view.get(name) else {
            return Err(not_found(kind, id.namespace(), name));
        };
        Ok(Answer::Message(wire::reply(std::iter::once(encoded))))
    }

    /// What changes of it from now on.
    fn follow(&self, kind: Kind, id: SpiffeId) -> Follower {
        let view = self.views[&kind].subscribe(id.namespace());
        let sight = match kind {
            Kind::Configuration => Sight::Assigned(self.assignments.clone(), id),
            _ => Sight::Scope(id),
        };
        let guard = self.metrics.stream(kind.name());
        Follower::new(view, sight, self.shutdown.clone(), guard)
    }

    /// Nothing but a caller that asks for what is not its own is refused.
    fn note_refusal(&self, method: &'static str, extensions: &Extensions, status: &Status) {
        if status.code() == tonic::Code::PermissionDenied {
            self.metrics.refused(method);
            let peer = trilby_grpc::peer(extensions);
            let caller = peer.and_then(|peer| peer.spiffe.as_ref());
            warn!(
                method,
                caller = caller.map(tracing::field::display),
                reason = status.message(),
                "refused"
            );
        }
    }
}

/// The namespace that a list is asked for.
async fn namespace(kind: Kind, body: Body) -> Result<String, Status> {
    match kind {
        Kind::Subscription => {
            let request: ListSubscriptionsRequest = read(body).await?;
            Ok(request.namespace)
        }
        // The requests of all others are alike.
        _ => {
            let request: ListComponentsRequest = read(body).await?;
            Ok(request.namespace)
        }
    }
}

/// The texts are upstream's.
fn not_found(kind: Kind, namespace: &str, name: &str) -> Status {
    let absent = format!("{}.dapr.io \"{name}\" not found", kind.name());
    Status::unknown(match kind {
        Kind::Configuration => format!("error getting configuration {namespace}/{name}: {absent}"),
        _ => format!("error getting resiliency: {absent}"),
    })
}
