//! Which operation an HTTP request asks for. Pure.
//!
//! Whatever matches no route is an invocation of another application: there is no 404 of the router's own
//! and no 405.

mod configuration;
mod publish;

use std::borrow::Cow;

use http::Method;

use super::absent::absent;
use super::escape::{BadEscape, unescape};
use super::group::Group;
use crate::path::clean;

pub(super) use configuration::{ConfigurationOperation, ConfigurationRoute};
pub(super) use publish::PublishRoute;

/// One operation of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Health,
    HealthOutbound,
    GetMetadata,
    SetMetadata {
        key: String,
    },
    Shutdown,
    State(StateRoute),
    GetSecret {
        store: String,
        name: String,
    },
    BulkSecrets {
        store: String,
    },
    Lock(LockRoute),
    InvokeBinding {
        name: String,
    },
    Configuration(ConfigurationRoute),
    Publish(PublishRoute),
    Actor {
        actor_type: String,
        actor_id: String,
        operation: ActorRoute,
    },
    Crypto {
        provider: String,
        route: CryptoRoute,
    },
    Subtle {
        provider: String,
        route: SubtleRoute,
    },
    /// An API of upstream's that is not there yet.
    Absent(Group),
    /// Everything else.
    Invoke,
    /// An invocation that the rules refuse.
    Refused,
}

/// An operation on a state store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StateRoute {
    Get { store: String, key: String },
    Delete { store: String, key: String },
    Save { store: String },
    BulkGet { store: String },
    Transaction { store: String },
    Query { store: String },
}

/// An operation on a lock store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LockRoute {
    TryLock { store: String },
    Unlock { store: String },
}

impl LockRoute {
    pub(super) fn store(&self) -> &str {
        match self {
            Self::TryLock { store } | Self::Unlock { store } => store,
        }
    }
}

/// What is done with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CryptoRoute {
    Encrypt,
    Decrypt,
}

/// What is done with a key alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SubtleRoute {
    GetKey,
    Encrypt,
    Decrypt,
    WrapKey,
    UnwrapKey,
    Sign,
    Verify,
}

/// An operation on an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ActorRoute {
    Invoke { method: String },
    GetState { key: String },
    Transaction,
    CreateTimer { name: String },
    DeleteTimer { name: String },
    CreateReminder { name: String },
    GetReminder { name: String },
    DeleteReminder { name: String },
}

impl Route {
    /// Finds the route of a request. `path` is still escaped.
    ///
    /// # Errors
    /// A variable part of the path is not properly escaped.
    pub(super) fn find(method: &Method, path: &str) -> Result<Self, BadEscape> {
        let path = clean(path);
        let mut segments = path.split('/').skip(1);
        let Some(version) = segments.next().and_then(Version::parse) else {
            return Ok(Self::Invoke);
        };
        let Some(api) = segments.next() else {
            return Ok(Self::Invoke);
        };
        let rest: Vec<&str> = segments.collect();
        let route = match (version, api) {
            (Version::V1, "state") => state(method, &rest)?.map(Self::State),
            (Version::Alpha1, "state") => query(method, &rest)?.map(Self::State),
            (Version::V1, "secrets") => secrets(method, &rest)?,
            (Version::Alpha1, "lock" | "unlock") => lock(api, method, &rest)?.map(Self::Lock),
            (Version::V1, "bindings") => bindings(method, &rest)?,
            (version, "configuration") if method == Method::GET => {
                configuration::find(version, &rest)?.map(Self::Configuration)
            }
            (version, "publish") if writes(method) => {
                publish::find(version, &rest)?.map(Self::Publish)
            }
            (Version::V1, "actors") => actors(method, &rest)?,
            (Version::Alpha1, "crypto") => crypto(method, &rest)?,
            (Version::Alpha1, "subtlecrypto") => subtle(method, &rest)?,
            (Version::V1, "metadata") => metadata(method, &rest)?,
            (Version::V1, "healthz") => health(method, &rest),
            (Version::V1, "shutdown") => {
                (method == Method::POST && rest.is_empty()).then_some(Self::Shutdown)
            }
            (version, api) => absent((version, api), method, &rest).map(Self::Absent),
        };
        Ok(route.unwrap_or(Self::Invoke))
    }
}

/// The first segment of every path of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    Alpha1,
    Alpha2,
    Beta1,
}

impl Version {
    fn parse(segment: &str) -> Option<Self> {
        match segment {
            "v1.0" => Some(Self::V1),
            "v1.0-alpha1" => Some(Self::Alpha1),
            "v1.0-alpha2" => Some(Self::Alpha2),
            "v1.0-beta1" => Some(Self::Beta1),
            _ => None,
        }
    }
}

fn writes(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT)
}

/// Exact paths win over variable ones, so a key cannot be called `bulk` where that is a route.
fn state(method: &Method, rest: &[&str]) -> Result<Option<StateRoute>, BadEscape> {
    let name = |segment: &str| unescape(segment).map(Cow::into_owned);
    Ok(match rest {
        [store] if writes(method) => Some(StateRoute::Save {
            store: name(store)?,
        }),
        [store, "bulk"] if writes(method) => Some(StateRoute::BulkGet {
            store: name(store)?,
        }),
        [store, "transaction"] if writes(method) => Some(StateRoute::Transaction {
            store: name(store)?,
        }),
        [store, key] if method == Method::GET => Some(StateRoute::Get {
            store: name(store)?,
            key: name(key)?,
        }),
        [store, key] if method == Method::DELETE => Some(StateRoute::Delete {
            store: name(store)?,
            key: name(key)?,
        }),
        _ => None,
    })
}

fn query(method: &Method, rest: &[&str]) -> Result<Option<StateRoute>, BadEscape> {
    Ok(match rest {
        [store, "query"] if writes(method) => Some(StateRoute::Query {
            store: unescape(store)?.into_owned(),
        }),
        _ => None,
    })
}

fn secrets(method: &Method, rest: &[&str]) -> Result<Option<Route>, BadEscape> {
    Ok(match rest {
        [store, "bulk"] if method == Method::GET => Some(Route::BulkSecrets {
            store: unescape(store)?.into_owned(),
        }),
        [store, name] if method == Method::GET => Some(Route::GetSecret {
            store: unescape(store)?.into_owned(),
            name: unescape(name)?.into_owned(),
        }),
        _ => None,
    })
}

fn lock(api: &str, method: &Method, rest: &[&str]) -> Result<Option<LockRoute>, BadEscape> {
    let [store] = rest else {
        return Ok(None);
    };
    if method != Method::POST {
        return Ok(None);
    }
    let store = unescape(store)?.into_owned();
    Ok(Some(match api {
        "lock" => LockRoute::TryLock { store },
        _ => LockRoute::Unlock { store },
    }))
}

fn bindings(method: &Method, rest: &[&str]) -> Result<Option<Route>, BadEscape> {
    Ok(match rest {
        [name] if writes(method) => Some(Route::InvokeBinding {
            name: unescape(name)?.into_owned(),
        }),
        _ => None,
    })
}

fn crypto(method: &Method, rest: &[&str]) -> Result<Option<Route>, BadEscape> {
    let (provider, route) = match rest {
        [provider, "encrypt"] if method == Method::PUT => (provider, CryptoRoute::Encrypt),
        [provider, "decrypt"] if method == Method::PUT => (provider, CryptoRoute::Decrypt),
        _ => return Ok(None),
    };
    Ok(Some(Route::Crypto {
        provider: unescape(provider)?.into_owned(),
        route,
    }))
}

fn subtle(method: &Method, rest: &[&str]) -> Result<Option<Route>, BadEscape> {
    let [provider, operation] = rest else {
        return Ok(None);
    };
    let route = match *operation {
        _ if method != Method::POST => return Ok(None),
        "getkey" => SubtleRoute::GetKey,
        "encrypt" => SubtleRoute::Encrypt,
        "decrypt" => SubtleRoute::Decrypt,
        "wrapkey" => SubtleRoute::WrapKey,
        "unwrapkey" => SubtleRoute::UnwrapKey,
        "sign" => SubtleRoute::Sign,
        "verify" => SubtleRoute::Verify,
        _ => return Ok(None),
    };
    Ok(Some(Route::Subtle {
        provider: unescape(provider)?.into_owned(),
        route,
    }))
}

fn metadata(method: &Method, rest: &[&str]) -> Result<Option<Route>, BadEscape> {
    Ok(match rest {
        [] if method == Method::GET => Some(Route::GetMetadata),
        [key] if method == Method::PUT => Some(Route::SetMetadata {
            key: unescape(key)?.into_owned(),
        }),
        _ => None,
    })
}

fn health(method: &Method, rest: &[&str]) -> Option<Route> {
    match rest {
        [] if method == Method::GET => Some(Route::Health),
        ["outbound"] if method == Method::GET => Some(Route::HealthOutbound),
        _ => None,
    }
}

fn actors(method: &Method, rest: &[&str]) -> Result<Option<Route>, BadEscape> {
    let [actor_type, actor_id, rest @ ..] = rest else {
        return Ok(None);
    };
    let Some(operation) = actor_operation(method, rest)? else {
        return Ok(None);
    };
    let (actor_type, actor_id) = (
        unescape(actor_type)?.into_owned(),
        unescape(actor_id)?.into_owned(),
    );
    Ok(Some(Route::Actor {
        actor_type,
        actor_id,
        operation,
    }))
}

fn actor_operation(method: &Method, rest: &[&str]) -> Result<Option<ActorRoute>, BadEscape> {
    let name = |segment: &str| unescape(segment).map(Cow::into_owned);
    let invokes = writes(method) || matches!(*method, Method::GET | Method::DELETE);
    Ok(match rest {
        ["state"] if writes(method) => Some(ActorRoute::Transaction),
        ["state", key] if method == Method::GET => Some(ActorRoute::GetState { key: name(key)? }),
        ["method", called] if invokes => Some(ActorRoute::Invoke {
            method: name(called)?,
        }),
        ["timers", timer] if writes(method) => Some(ActorRoute::CreateTimer { name: name(timer)? }),
        ["timers", timer] if method == Method::DELETE => {
            Some(ActorRoute::DeleteTimer { name: name(timer)? })
        }
        ["reminders", reminder] if writes(method) => Some(ActorRoute::CreateReminder {
            name: name(reminder)?,
        }),
        ["reminders", reminder] if method == Method::GET => Some(ActorRoute::GetReminder {
            name: name(reminder)?,
        }),
        ["reminders", reminder] if method == Method::DELETE => Some(ActorRoute::DeleteReminder {
            name: name(reminder)?,
        }),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{ActorRoute, Group, LockRoute, Route, StateRoute};

    fn find(method: Method, path: &str) -> Route {
        Route::find(&method, path).unwrap()
    }

    #[test]
    fn state_routes() {
        let (store, key) = ("s".to_owned(), "k".to_owned());
        let get = Route::State(StateRoute::Get {
            store: store.clone(),
            key: key.clone(),
        });
        assert_eq!(find(Method::GET, "/v1.0/state/s/k"), get);
        assert_eq!(find(Method::GET, "/v1.0//state/./s/k/"), get);
        assert_eq!(
            find(Method::PUT, "/v1.0/state/s"),
            Route::State(StateRoute::Save {
                store: store.clone()
            })
        );
        assert_eq!(
            find(Method::POST, "/v1.0/state/s/bulk"),
            Route::State(StateRoute::BulkGet {
                store: store.clone()
            })
        );
        assert_eq!(
            find(Method::DELETE, "/v1.0/state/s/k"),
            Route::State(StateRoute::Delete { store, key })
        );
    }

    #[test]
    fn variable_parts_are_unescaped_after_routing() {
        let get = Route::State(StateRoute::Get {
            store: "s".into(),
            key: "a/b c".into(),
        });
        assert_eq!(find(Method::GET, "/v1.0/state/s/a%2Fb+c"), get);
        assert!(Route::find(&Method::GET, "/v1.0/state/s/a%zz").is_err());
    }

    #[test]
    fn actor_routes() {
        let route = find(Method::PUT, "/v1.0/actors/T/1/method/m");
        let operation = ActorRoute::Invoke { method: "m".into() };
        assert_eq!(
            route,
            Route::Actor {
                actor_type: "T".into(),
                actor_id: "1".into(),
                operation
            }
        );
        let Route::Actor { operation, .. } = find(Method::GET, "/v1.0/actors/T/1/state/k") else {
            panic!()
        };
        assert_eq!(operation, ActorRoute::GetState { key: "k".into() });
    }

    #[test]
    fn lock_routes() {
        let store = || "l".to_owned();
        for (path, route, name) in [
            ("lock/l", LockRoute::TryLock { store: store() }, "lock"),
            ("unlock/l", LockRoute::Unlock { store: store() }, "unlock"),
        ] {
            let route = Route::Lock(route);
            let group = route.group().unwrap();
            assert_eq!(group.name, format!("v1alpha1/{name}"));
            assert_eq!(find(Method::POST, &format!("/v1.0-alpha1/{path}")), route);
            assert_eq!(
                find(Method::PUT, &format!("/v1.0-alpha1/{path}")),
                Route::Invoke
            );
            assert_eq!(find(Method::POST, &format!("/v1.0/{path}")), Route::Invoke);
        }
    }

    #[test]
    fn everything_unknown_is_an_invocation() {
        for (method, path) in [
            (Method::GET, "/"),
            (Method::GET, "/orders"),
            (Method::PATCH, "/v1.0/state/s"),
            (Method::GET, "/v1.0/invoke/b/method/x"),
            (Method::GET, "/v1.0/unknown/x"),
            (Method::GET, "/v2.0/state/s/k"),
            (Method::POST, "/v1.0/healthz"),
        ] {
            assert_eq!(find(method, path), Route::Invoke, "{path}");
        }
    }

    #[test]
    fn a_binding_is_invoked_by_two_methods() {
        for method in [Method::POST, Method::PUT] {
            let route = find(method, "/v1.0/bindings/a%20b");
            let name = "a b".to_owned();
            assert_eq!(route, Route::InvokeBinding { name });
            let group = route.group().unwrap();
            assert_eq!(group.name, "v1/bindings");
            assert_eq!(group.template, "/v1.0/bindings/{name}");
        }
    }

    #[test]
    fn apis_that_are_not_there_yet_are_known() {
        for (method, path, name, template) in [
            (
                Method::POST,
                "/v1.0-beta1/workflows/dapr/w/start",
                "v1beta1/workflows",
                "/v1.0-beta1/workflows/{workflowComponent}/{workflowName}/start",
            ),
            (Method::GET, "/v1.0/jobs/j", "v1/jobs", "/v1.0/jobs/{name}"),
        ] {
            let group = Group { name, template };
            assert_eq!(find(method, path), Route::Absent(group), "{path}");
        }
    }

    #[test]
    fn wrong_methods_and_shapes_of_absent_apis_are_invocations() {
        for (method, path) in [
            (Method::GET, "/v1.0/publish/p/t"),
            (Method::POST, "/v1.0/publish/p"),
            (Method::GET, "/v1.0/bindings/b"),
            (Method::POST, "/v1.0/configuration/c"),
            (Method::GET, "/v1.0-alpha1/lock/l"),
            (Method::POST, "/v1.0-alpha1/crypto/c/encrypt"),
            (Method::PUT, "/v1.0/jobs/j"),
            (Method::POST, "/v1.0/workflows/dapr/i/unknown"),
            (Method::POST, "/v1.0/conversation/c/converse"),
        ] {
            assert_eq!(find(method, path), Route::Invoke, "{path}");
        }
    }
}
