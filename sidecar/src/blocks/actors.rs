//! The actors block: what `trilby-actors` needs of this sidecar, and its operations as the APIs ask for them.

mod callback;
mod peers;

use http::StatusCode;
use tonic::Status;
use trilby_actors::{ActorError, ActorKey, ActorRequest, ActorResponse, Actors, RuntimeStatus};
use trilby_components::state::{Item, Operation};
use trilby_proto::internals::v1::{InternalInvokeRequest, InternalInvokeResponse};

use crate::error::ApiError;
use crate::path::validate_name;

pub use callback::AppActors;
pub(crate) use callback::{headers_of, metadata_of};
pub use peers::ActorPeers;

/// Actors as the APIs see them. Cheap to clone.
#[derive(Clone)]
pub struct ActorBlock {
    actors: Actors,
}

impl ActorBlock {
    /// Serves `actors`.
    pub fn new(actors: Actors) -> Self {
        Self { actors }
    }

    /// The runtime behind it.
    pub fn runtime(&self) -> &Actors {
        &self.actors
    }

    /// How the runtime fares.
    pub fn status(&self) -> trilby_actors::Status {
        self.actors.status()
    }

    /// Calls a method.
    ///
    /// # Errors
    /// A name cannot stand in a path, nobody hosts the type, or the actor failed.
    pub async fn invoke(&self, request: ActorRequest) -> Result<ActorResponse, ApiError> {
        check("actorType", &request.actor.actor_type)?;
        check("actorId", &request.actor.actor_id)?;
        self.actors
            .invoke(request)
            .await
            .map_err(|error| failed(&error))
    }

    /// Answers a call of another sidecar to an actor that is hosted here.
    ///
    /// # Errors
    /// In the words of gRPC, which the other sidecar understands.
    pub async fn call_from_peer(
        &self,
        request: InternalInvokeRequest,
    ) -> Result<InternalInvokeResponse, Status> {
        let request = ActorRequest::try_from(request)?;
        Ok(self.actors.invoke_local(request).await?.into())
    }

    /// Reads a key of an actor's state.
    ///
    /// # Errors
    /// There is no store for actors, or it failed.
    pub async fn get_state(&self, actor: &ActorKey, key: &str) -> Result<Option<Item>, ApiError> {
        self.actors
            .get_state(actor, key)
            .await
            .map_err(|error| failed(&error))
    }

    /// Changes keys of an actor's state together.
    ///
    /// # Errors
    /// The actor is not active here, there is no store for actors, or it failed.
    pub async fn transact(
        &self,
        actor: &ActorKey,
        operations: Vec<Operation>,
    ) -> Result<(), ApiError> {
        self.actors
            .transact_state(actor, operations)
            .await
            .map_err(|error| failed(&error))
    }

    /// Whether the runtime waits for placement; health says so then.
    pub fn awaits_placement(&self) -> bool {
        let status = self.status();
        status.runtime != RuntimeStatus::Disabled && !status.connected
    }
}

impl std::fmt::Debug for ActorBlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ActorBlock").field(&self.status()).finish()
    }
}

fn check(part: &str, text: &str) -> Result<(), ApiError> {
    validate_name(text)
        .map_err(|invalid| ApiError::bad_request(format!("invalid {part}: {invalid}")))
}

/// An actor's name.
pub fn key(actor_type: &str, actor_id: &str) -> ActorKey {
    ActorKey::new(actor_type, actor_id)
}

/// What the APIs answer.
pub fn failed(error: &ActorError) -> ApiError {
    let http =
        StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    ApiError::new(error.code(), http, error.grpc_code(), error.to_string())
}

/// The answer to an operation on timers.
pub fn no_timers() -> ApiError {
    failed(&ActorError::TimerCreate(
        "timers are not there yet in Trilby".to_owned(),
    ))
}

/// The answer to an operation on reminders, which the scheduler keeps; `operation` makes the error.
pub fn no_reminders(operation: fn(String) -> ActorError) -> ApiError {
    failed(&operation(
        "reminders need the scheduler, which is not there yet in Trilby".to_owned(),
    ))
}
