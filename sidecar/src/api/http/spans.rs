//! What a route adds to the span of its request.

use http::{Extensions, Request};
use trilby_telemetry::Note;

use super::route::{ActorRoute, Route, StateRoute};
use super::target::Found;
use crate::api::traced::{PEER_NAME, RPC_SERVICE, describe};

/// Names the block and what it works on.
pub(super) fn describe_route<B>(request: &Request<B>, route: &Route) {
    describe(request.extensions(), |note| {
        let statement = || format!("{} {}", request.method(), request.uri().path());
        match route {
            Route::State(state) => describe_store(note, ("state", state.store()), statement()),
            Route::GetSecret { store, .. } | Route::BulkSecrets { store } => {
                describe_store(note, ("secrets", store), statement());
            }
            Route::InvokeBinding { name } => {
                describe_store(note, ("bindings", name), statement());
            }
            Route::Actor {
                actor_type,
                actor_id,
                operation,
            } => {
                note.set("dapr.actor", format!("{actor_type}.{actor_id}"));
                describe_actor(note, (actor_type, actor_id), operation, statement);
            }
            _ => {}
        }
    });
}

/// Names the call that an invocation is.
pub(super) fn describe_invocation(extensions: &Extensions, found: &Found) {
    describe(extensions, |note| {
        note.rename(format!("CallLocal/{}/{}", found.target, found.method));
        note.set(RPC_SERVICE, "ServiceInvocation");
        note.set(PEER_NAME, found.target.as_str());
    });
}

fn describe_actor(
    note: &Note,
    (actor_type, actor_id): (&str, &str),
    operation: &ActorRoute,
    statement: impl FnOnce() -> String,
) {
    match operation {
        ActorRoute::Invoke { method } => {
            note.rename(format!("CallActor/{actor_type}/{method}"));
            note.set(RPC_SERVICE, "ServiceInvocation");
            note.set(PEER_NAME, format!("{actor_type}.{actor_id}"));
        }
        ActorRoute::GetState { .. } | ActorRoute::Transaction => {
            describe_store(note, ("state", "actor"), statement());
        }
        _ => {}
    }
}

fn describe_store(note: &Note, (block, store): (&'static str, &str), statement: String) {
    note.set("db.system", block);
    note.set("db.connection_string", block);
    note.set("db.statement", statement);
    note.set("db.name", store);
}

impl StateRoute {
    fn store(&self) -> &str {
        match self {
            Self::Get { store, .. }
            | Self::Delete { store, .. }
            | Self::Save { store }
            | Self::BulkGet { store }
            | Self::Transaction { store }
            | Self::Query { store } => store,
        }
    }
}
