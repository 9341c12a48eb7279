//! What the actor host needs from the way to the app.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{ActorKey, ActorRequest, ActorResponse};

/// The app that hosts actors. The sidecar implements it over its app channel.
///
/// # Cancel safety
/// A returned future may be dropped at any time; the call then counts as abandoned.
#[async_trait]
pub trait AppCallback: Send + Sync + 'static {
    /// Calls a method (`PUT /actors/<type>/<id>/method/<method>`). Every HTTP status is an answer; what
    /// it means is decided here, not there. [`crate::REENTRANCY_HEADER`] is in the metadata if the
    /// type is reentrant, and must reach the app.
    async fn invoke(&self, request: ActorRequest) -> Result<ActorResponse, AppFailure>;

    /// Fires a timer (`PUT /actors/<type>/<id>/method/timer/<name>`). Every HTTP status is an answer.
    async fn timer(&self, actor: &ActorKey, timer: TimerFire) -> Result<ActorResponse, AppFailure>;

    /// Tells the app that an actor is no longer here (`DELETE /actors/<type>/<id>`). Anything but 200
    /// is a failure.
    async fn deactivate(&self, actor: &ActorKey) -> Result<(), AppFailure>;
}

/// A timer that came due. Times are given back as they were registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerFire {
    /// Name of the timer.
    pub name: String,
    /// What the app wants to be told.
    pub callback: String,
    /// JSON; empty for none.
    pub data: Bytes,
    /// The registered due time.
    pub due_time: String,
    /// The registered period.
    pub period: String,
}

/// Why the app did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppFailure {
    /// There is no way to an app: it has no port.
    #[error("app channel is not initialized")]
    NoChannel,
    /// No app of the gRPC kind has its actor stream open.
    #[error("actor host is not connected")]
    NotConnected,
    /// The app's gRPC actor stream ended before the answer.
    #[error("actor host disconnected before responding")]
    Disconnected,
    /// The app does not know the method, as a gRPC app says it.
    #[error("actor method not found: {0}")]
    MethodNotFound(String),
    /// The app answered a deactivation with this.
    #[error("error from actor service: ({status}) {body}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// The answer's text.
        body: String,
    },
    /// The call broke: connection refused, reset, timed out, app unhealthy.
    #[error("{0}")]
    Unreachable(String),
}
