//! What actor operations answer when they fail.

use tonic::Code;

/// A failed actor operation. The text is what clients of Dapr read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActorError {
    /// No placement address is configured.
    #[error("placement service is not configured")]
    NoPlacement,
    /// The sidecar is stopping.
    #[error("actor runtime is closed")]
    Closed,
    /// No store is marked as the actors'.
    #[error(
        "the state store is not configured to use the actor runtime. Have you set the - name: \
         actorStateStore value: \"true\" in your state store component file?"
    )]
    NoStateStore,
    /// State of an actor that is not active here.
    #[error("actor instance is missing")]
    InstanceMissing,
    /// A call failed.
    #[error("error invoke actor method: {0}")]
    Invoke(String),
    /// Reading state failed.
    #[error("error getting actor state: {0}")]
    StateGet(String),
    /// Writing state failed.
    #[error("error saving actor transaction state: {0}")]
    StateTransaction(String),
    /// A type of the sidecar's own.
    #[error(
        "actor type {0:?} is reserved for the Dapr workflow runtime; direct actor API access is not permitted"
    )]
    Reserved(String),
    /// A timer could not be registered.
    #[error("error creating actor timer: {0}")]
    TimerCreate(String),
    /// A reminder could not be registered.
    #[error("error creating actor reminder: {0}")]
    ReminderCreate(String),
    /// A reminder could not be read.
    #[error("error getting actor reminder: {0}")]
    ReminderGet(String),
    /// A reminder could not be removed.
    #[error("error deleting actor reminder: {0}")]
    ReminderDelete(String),
    /// Too many calls of one chain are in one actor.
    #[error("maximum stack depth exceeded")]
    StackDepth,
    /// Kubernetes with mutual TLS, and no namespace.
    #[error("actors must have a namespace configured when running in Kubernetes mode")]
    NamespaceRequired,
    /// Nobody hosts the type.
    #[error("did not find address for actor '{0}'")]
    NoAddress(String),
}

// === impl ActorError ===

impl ActorError {
    /// The `errorCode` of the HTTP API.
    pub fn code(&self) -> &'static str {
        self.row().0
    }

    /// The status of the HTTP API.
    pub fn http_status(&self) -> u16 {
        self.row().1
    }

    /// The status of the gRPC API.
    pub fn grpc_code(&self) -> Code {
        self.row().2
    }

    fn row(&self) -> (&'static str, u16, Code) {
        match self {
            Self::NoPlacement => ("ERR_ACTOR_NO_PLACEMENT", 400, Code::Unavailable),
            Self::Closed => ("ERR_ACTOR_RUNTIME_CLOSED", 503, Code::Unavailable),
            Self::NoStateStore => ("ERR_ACTOR_RUNTIME_NOT_FOUND", 500, Code::Internal),
            Self::InstanceMissing => ("ERR_ACTOR_INSTANCE_MISSING", 400, Code::Internal),
            Self::Invoke(_) => ("ERR_ACTOR_INVOKE_METHOD", 500, Code::Internal),
            Self::StateGet(_) => ("ERR_ACTOR_STATE_GET", 500, Code::Internal),
            Self::StateTransaction(_) => ("ERR_ACTOR_STATE_TRANSACTION_SAVE", 500, Code::Internal),
            Self::Reserved(_) => ("ERR_ACTOR_TYPE_RESERVED", 403, Code::PermissionDenied),
            Self::TimerCreate(_) => ("ERR_ACTOR_TIMER_CREATE", 500, Code::Internal),
            Self::ReminderCreate(_) => ("ERR_ACTOR_REMINDER_CREATE", 500, Code::Internal),
            Self::ReminderGet(_) => ("ERR_ACTOR_REMINDER_GET", 500, Code::Internal),
            Self::ReminderDelete(_) => ("ERR_ACTOR_REMINDER_DELETE", 500, Code::Internal),
            Self::StackDepth => ("ERR_ACTOR_STACK_DEPTH", 500, Code::ResourceExhausted),
            Self::NamespaceRequired => (
                "ERR_ACTOR_NAMESPACE_REQUIRED",
                412,
                Code::FailedPrecondition,
            ),
            Self::NoAddress(_) => ("ERR_ACTOR_NO_ADDRESS", 404, Code::FailedPrecondition),
        }
    }
}

impl From<ActorError> for tonic::Status {
    fn from(error: ActorError) -> Self {
        Self::new(error.grpc_code(), error.to_string())
    }
}
