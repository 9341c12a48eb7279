//! The API that a route belongs to, as rules and metrics name it.

use super::route::{ActorRoute, CryptoRoute, LockRoute, Route, StateRoute, SubtleRoute};

/// The API that a route belongs to, as rules and metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group {
    /// `<version>/<name>`.
    pub name: &'static str,
    /// The path, with names for its variable parts.
    pub template: &'static str,
}

impl Route {
    /// The API of the route; `None` for health, which no rule can refuse.
    pub(super) fn group(&self) -> Option<Group> {
        let (name, template) = match self {
            Self::Health | Self::HealthOutbound => return None,
            Self::GetMetadata => ("v1/metadata", "/v1.0/metadata"),
            Self::SetMetadata { .. } => ("v1/metadata", "/v1.0/metadata/{key}"),
            Self::Shutdown => ("v1/shutdown", "/v1.0/shutdown"),
            Self::State(state) => return Some(state.group()),
            Self::GetSecret { .. } => ("v1/secrets", "/v1.0/secrets/{secretStoreName}/{key}"),
            Self::BulkSecrets { .. } => ("v1/secrets", "/v1.0/secrets/{secretStoreName}/bulk"),
            Self::Lock(lock) => return Some(lock.group()),
            Self::InvokeBinding { .. } => ("v1/bindings", "/v1.0/bindings/{name}"),
            Self::Configuration(route) => return Some(route.group),
            Self::Publish(route) => return Some(route.group),
            Self::Actor { operation, .. } => ("v1/actors", operation.template()),
            Self::Crypto { route, .. } => ("v1alpha1/crypto", route.template()),
            Self::Subtle { route, .. } => ("v1alpha1/subtlecrypto", route.template()),
            Self::Absent(group) => return Some(*group),
            Self::Invoke | Self::Refused => ("v1/invoke", "/v1.0/invoke/*"),
        };
        Some(Group { name, template })
    }
}

impl StateRoute {
    fn group(&self) -> Group {
        let (name, template) = match self {
            Self::Get { .. } | Self::Delete { .. } => ("v1/state", "/v1.0/state/{storeName}/{key}"),
            Self::Save { .. } => ("v1/state", "/v1.0/state/{storeName}"),
            Self::BulkGet { .. } => ("v1/state", "/v1.0/state/{storeName}/bulk"),
            Self::Transaction { .. } => ("v1/state", "/v1.0/state/{storeName}/transaction"),
            Self::Query { .. } => ("v1alpha1/state", "/v1.0-alpha1/state/{storeName}/query"),
        };
        Group { name, template }
    }
}

impl LockRoute {
    fn group(&self) -> Group {
        let (name, template) = match self {
            Self::TryLock { .. } => ("v1alpha1/lock", "/v1.0-alpha1/lock/{storeName}"),
            Self::Unlock { .. } => ("v1alpha1/unlock", "/v1.0-alpha1/unlock/{storeName}"),
        };
        Group { name, template }
    }
}

impl CryptoRoute {
    fn template(self) -> &'static str {
        match self {
            Self::Encrypt => "/v1.0-alpha1/crypto/{name}/encrypt",
            Self::Decrypt => "/v1.0-alpha1/crypto/{name}/decrypt",
        }
    }
}

impl SubtleRoute {
    fn template(self) -> &'static str {
        match self {
            Self::GetKey => "/v1.0-alpha1/subtlecrypto/{name}/getkey",
            Self::Encrypt => "/v1.0-alpha1/subtlecrypto/{name}/encrypt",
            Self::Decrypt => "/v1.0-alpha1/subtlecrypto/{name}/decrypt",
            Self::WrapKey => "/v1.0-alpha1/subtlecrypto/{name}/wrapkey",
            Self::UnwrapKey => "/v1.0-alpha1/subtlecrypto/{name}/unwrapkey",
            Self::Sign => "/v1.0-alpha1/subtlecrypto/{name}/sign",
            Self::Verify => "/v1.0-alpha1/subtlecrypto/{name}/verify",
        }
    }
}

impl ActorRoute {
    fn template(&self) -> &'static str {
        match self {
            Self::Invoke { .. } => "/v1.0/actors/{actorType}/{actorId}/method/{method}",
            Self::GetState { .. } => "/v1.0/actors/{actorType}/{actorId}/state/{key}",
            Self::Transaction => "/v1.0/actors/{actorType}/{actorId}/state",
            Self::CreateTimer { .. } | Self::DeleteTimer { .. } => {
                "/v1.0/actors/{actorType}/{actorId}/timers/{name}"
            }
            Self::CreateReminder { .. }
            | Self::GetReminder { .. }
            | Self::DeleteReminder { .. } => "/v1.0/actors/{actorType}/{actorId}/reminders/{name}",
        }
    }
}
