//! Names of actors.

use std::{fmt, sync::Arc};

/// One actor: its type and its id within the type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActorKey {
    /// The type, as the app that hosts it declares it.
    pub actor_type: Arc<str>,
    /// The id; unique within the type.
    pub actor_id: Arc<str>,
}

/// Types of the sidecar's own, which no app may declare or address directly.
const RESERVED: &str = "dapr.internal.";

// === impl ActorKey ===

impl ActorKey {
    /// Names an actor. Whether the parts may stand in a path is for the API to check.
    pub fn new(actor_type: impl Into<Arc<str>>, actor_id: impl Into<Arc<str>>) -> Self {
        Self {
            actor_type: actor_type.into(),
            actor_id: actor_id.into(),
        }
    }

    /// Whether the type belongs to the sidecar itself.
    pub fn is_reserved(&self) -> bool {
        is_reserved(&self.actor_type)
    }
}

impl fmt::Display for ActorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}||{}", self.actor_type, self.actor_id)
    }
}

/// Whether an actor type belongs to the sidecar itself.
pub fn is_reserved(actor_type: &str) -> bool {
    actor_type.starts_with(RESERVED)
}
