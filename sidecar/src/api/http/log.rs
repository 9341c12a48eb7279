//! The API log: a line for every request, once its answer is gone.

use axum::body::Body;
use http::header::USER_AGENT;
use http::{HeaderMap, Request, StatusCode};
use tokio::time::Instant;

use super::ApiLogging;
use super::respond::HttpResponse;
use super::route::{
    ActorRoute, ConfigurationOperation, CryptoRoute, LockRoute, PublishRoute, Route, StateRoute,
    SubtleRoute,
};
use super::target;
use crate::metrics::body::{End, Watched};

/// What is known of a request before it is answered.
#[derive(Debug)]
pub(super) struct Line {
    method: String,
    user_agent: Option<String>,
    start: Instant,
}

impl Line {
    /// A line for `request`, if it is to be logged; `route` is what it asks for, if its path is sound.
    pub(super) fn begin(
        logging: ApiLogging,
        request: &Request<Body>,
        route: Option<&Route>,
    ) -> Option<Self> {
        let ApiLogging::On {
            obfuscate_urls,
            omit_health_checks,
        } = logging
        else {
            return None;
        };
        let is_probe = matches!(route, Some(Route::Health | Route::HealthOutbound));
        if omit_health_checks && is_probe {
            return None;
        }
        let path = request.uri().path();
        Some(Self {
            method: match route {
                Some(route) if obfuscate_urls => operation(route, path, request.headers()),
                _ => format!("{} {path}", request.method()),
            },
            user_agent: user_agent(request.headers()),
            start: Instant::now(),
        })
    }

    /// Writes the line when the last byte of the answer is gone, or the client.
    pub(super) fn finish(self, response: HttpResponse) -> HttpResponse {
        let code = response.status();
        response.map(|body| Body::new(Watched::new(body, move |end| self.write(code, &end))))
    }

    fn write(self, code: StatusCode, end: &End) {
        tracing::info!(
            target: "dapr.runtime.http-info",
            method = self.method,
            useragent = self.user_agent,
            code = code.as_u16(),
            size = end.bytes,
            duration = milliseconds_since(self.start),
            "HTTP API Called"
        );
    }
}

/// Who called, as the client names itself.
pub(in crate::api) fn user_agent(headers: &HeaderMap) -> Option<String> {
    let agent = headers.get(USER_AGENT)?.to_str().ok()?;
    (!agent.is_empty()).then(|| agent.to_owned())
}

/// How long ago that was.
pub(in crate::api) fn milliseconds_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Upstream's name of an operation, where paths must not be shown.
fn operation(route: &Route, path: &str, headers: &HeaderMap) -> String {
    let name = match route {
        Route::Invoke | Route::Refused => {
            return match target::find(path, &mut headers.clone()) {
                Some(found) => format!("InvokeService/{}", found.target),
                None => "InvokeService".to_owned(),
            };
        }
        Route::Actor {
            actor_type,
            operation: ActorRoute::Invoke { .. },
            ..
        } => return format!("InvokeActor/{actor_type}"),
        Route::Actor { operation, .. } => actor_operation(operation),
        Route::State(operation) => state_operation(operation),
        Route::Health => "Healthz",
        Route::HealthOutbound => "HealthzOutbound",
        Route::GetMetadata => "GetMetadata",
        Route::SetMetadata { .. } => "PutMetadata",
        Route::Shutdown => "Shutdown",
        Route::GetSecret { .. } => "GetSecret",
        Route::BulkSecrets { .. } => "GetBulkSecret",
        Route::Lock(LockRoute::TryLock { .. }) => "TryLock",
        Route::Lock(LockRoute::Unlock { .. }) => "Unlock",
        Route::InvokeBinding { .. } => "InvokeBinding",
        Route::Configuration(route) => match route.operation {
            ConfigurationOperation::Get => "GetConfiguration",
            ConfigurationOperation::Subscribe => "SubscribeConfiguration",
            ConfigurationOperation::Unsubscribe { .. } => "UnsubscribeConfiguration",
        },
        Route::Publish(PublishRoute { bulk: false, .. }) => "PublishEvent",
        Route::Publish(PublishRoute { bulk: true, .. }) => "BulkPublishEvent",
        Route::Crypto {
            route: CryptoRoute::Encrypt,
            ..
        } => "Encrypt",
        Route::Crypto {
            route: CryptoRoute::Decrypt,
            ..
        } => "Decrypt",
        Route::Subtle { route, .. } => subtle_operation(*route),
        Route::Absent(group) => group.template,
    };
    name.to_owned()
}

fn subtle_operation(route: SubtleRoute) -> &'static str {
    match route {
        SubtleRoute::GetKey => "SubtleGetKey",
        SubtleRoute::Encrypt => "SubtleEncrypt",
        SubtleRoute::Decrypt => "SubtleDecrypt",
        SubtleRoute::WrapKey => "SubtleWrapKey",
        SubtleRoute::UnwrapKey => "SubtleUnwrapKey",
        SubtleRoute::Sign => "SubtleSign",
        SubtleRoute::Verify => "SubtleVerify",
    }
}

fn state_operation(route: &StateRoute) -> &'static str {
    match route {
        StateRoute::Get { .. } => "GetState",
        StateRoute::Delete { .. } => "DeleteState",
        StateRoute::Save { .. } => "SaveState",
        StateRoute::BulkGet { .. } => "GetBulkState",
        StateRoute::Transaction { .. } => "ExecuteStateTransaction",
        StateRoute::Query { .. } => "QueryStateAlpha1",
    }
}

fn actor_operation(route: &ActorRoute) -> &'static str {
    match route {
        ActorRoute::Invoke { .. } => "InvokeActor",
        ActorRoute::GetState { .. } => "GetActorState",
        ActorRoute::Transaction => "ExecuteActorStateTransaction",
        ActorRoute::CreateTimer { .. } => "RegisterActorTimer",
        ActorRoute::DeleteTimer { .. } => "UnregisterActorTimer",
        ActorRoute::CreateReminder { .. } => "RegisterActorReminder",
        ActorRoute::GetReminder { .. } => "GetActorReminder",
        ActorRoute::DeleteReminder { .. } => "UnregisterActorReminder",
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;

    use super::{ApiLogging, Line};
    use crate::api::http::route::Route;

    fn method(obfuscate_urls: bool, verb: &str, path: &str) -> Option<String> {
        let logging = ApiLogging::On {
            obfuscate_urls,
            omit_health_checks: true,
        };
        let request = Request::builder().method(verb).uri(path);
        let request = request.body(Body::empty()).unwrap();
        let route = Route::find(request.method(), request.uri().path()).ok();
        Some(Line::begin(logging, &request, route.as_ref())?.method)
    }

    #[test]
    fn a_line_names_the_path_unless_it_must_not() {
        for (verb, path, name) in [
            ("GET", "/v1.0/state/store/secret", "GetState"),
            (
                "POST",
                "/v1.0/invoke/shop/method/secret",
                "InvokeService/shop",
            ),
            (
                "PUT",
                "/v1.0/actors/cat/secret/method/eat",
                "InvokeActor/cat",
            ),
            (
                "DELETE",
                "/v1.0/actors/cat/secret/timers/t",
                "UnregisterActorTimer",
            ),
            ("GET", "/secret", "InvokeService"),
        ] {
            assert_eq!(method(true, verb, path).as_deref(), Some(name));
            let plain = method(false, verb, path);
            assert_eq!(plain, Some(format!("{verb} {path}")));
        }
    }

    #[test]
    fn probes_are_left_out_and_nothing_is_written_when_off() {
        assert_eq!(method(false, "GET", "/v1.0/healthz"), None);
        let request = Request::new(Body::empty());
        assert!(Line::begin(ApiLogging::Off, &request, None).is_none());
    }
}
