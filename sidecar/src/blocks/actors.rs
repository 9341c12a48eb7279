//! The actors block: what `trilby-actors` needs of this sidecar, and its operations as the APIs ask for them.

mod callback;
mod peers;

use http::StatusCode;
use tonic::Status;
use trilby_actors::{
    ActorError, ActorKey, ActorRequest, ActorResponse, Actors, ERROR_RESPONSE_HEADER, RuntimeStatus,
};
use trilby_components::state::{Item, Operation};
use trilby_proto::internals::v1::{InternalInvokeRequest, InternalInvokeResponse};
use trilby_resiliency::{Failure, Resiliency, Stopped, run};

use crate::error::ApiError;
use crate::path::validate_name;

pub use callback::AppActors;
pub(crate) use callback::{headers_of, metadata_of};
pub use peers::ActorPeers;

/// A failed attempt to call an actor.
enum Failed {
    /// The app says that the actor failed.
    Answered(Box<ActorResponse>),
    /// The actor was not reached, or gave no answer.
    Unanswered(ActorError),
}

impl From<Stopped> for Failed {
    fn from(stopped: Stopped) -> Self {
        Self::Unanswered(ActorError::Invoke(stopped.to_string()))
    }
}

/// Actors as the APIs see them. Cheap to clone.
#[derive(Clone)]
pub struct ActorBlock {
    actors: Actors,
    resiliency: Resiliency,
}

impl ActorBlock {
    /// Serves `actors`.
    pub fn new(actors: Actors, resiliency: Resiliency) -> Self {
        Self { actors, resiliency }
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
        let ActorKey {
            actor_type,
            actor_id,
        } = &request.actor;
        let policy = self.resiliency.policies().actor(actor_type, actor_id);
        let Some(policy) = policy else {
            let answered = self.actors.invoke(request).await;
            return answered.map_err(|error| failed(&error));
        };
        match run(Some(policy), |_| self.attempt(&request)).await {
            Ok(answer) => Ok(answer),
            Err(Failed::Answered(answer)) => Ok(*answer),
            Err(Failed::Unanswered(error)) => Err(failed(&error)),
        }
    }

    /// An answer in which the app reports a failure of the actor is one, too.
    async fn attempt(&self, request: &ActorRequest) -> Result<ActorResponse, Failure<Failed>> {
        match self.actors.invoke(request.clone()).await {
            Ok(answer) if reports_failure(&answer) => {
                Err(Failure::again(Failed::Answered(Box::new(answer))))
            }
            Ok(answer) => Ok(answer),
            Err(error) => Err(Failure::again(Failed::Unanswered(error))),
        }
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

fn reports_failure(answer: &ActorResponse) -> bool {
    let mut names = answer.headers.keys();
    names.any(|name| name.eq_ignore_ascii_case(ERROR_RESPONSE_HEADER))
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
