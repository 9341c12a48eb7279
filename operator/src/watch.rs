//! Watches that never end: they begin anew, with pauses, after whatever error.

mod changes;

use std::{fmt::Debug, time::Duration};

use futures_util::{Stream, StreamExt, stream};
use kube::{
    Api, Client, Resource,
    core::{ApiResource, DynamicResourceScope, GroupVersionKind},
    runtime::{
        WatchStreamExt,
        utils::{Backoff, ResetTimerBackoff},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tracing::warn;
use trilby_bootstrap::Latch;
use trilby_webhook::Complaint;

use changes::changes;

use crate::{
    cluster::{Scope, is_status, reason},
    resource::{Document, Kind},
};

/// Something happened to a resource.
pub(crate) type Event = watcher::Event<Document>;

/// The pause after the first error, as Go's client has it.
const FIRST_PAUSE: Duration = Duration::from_millis(800);
/// Go's client waits up to 30 s. A dozen watches of a few replicas are no burden to an API server that comes back, and
/// sidecars wait for what was changed meanwhile.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// After this time without an error pauses are short again, as Go's client has it.
const HEALTHY: Duration = Duration::from_secs(120);

/// Watches the resources of one kind.
pub(crate) fn resources(
    client: &Client,
    scope: &Scope,
    kind: Kind,
    waiting: Waiting,
) -> impl Stream<Item = Event> + use<> {
    let api = objects(client, scope, &resource(kind));
    follow(api, None, kind.plural(), waiting)
}

/// How the API server names a kind.
pub(crate) fn resource(kind: Kind) -> ApiResource {
    let gvk = GroupVersionKind::gvk(trilby_crds::GROUP, kind.version(), kind.name());
    ApiResource::from_gvk_with_plural(&gvk, kind.plural())
}

/// The API of a kind that is only known at run time, in the namespaces that are watched.
pub(crate) fn objects<K>(client: &Client, scope: &Scope, resource: &ApiResource) -> Api<K>
where
    K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
{
    match scope {
        Scope::All => Api::all_with(client.clone(), resource),
        Scope::Namespace(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
    }
}

/// Who waits for the first list of a watch: told why it does not come.
#[derive(Clone)]
pub(crate) enum Waiting {
    /// The process's readiness.
    Latch(Latch),
    /// The same, but a kind that the API server does not have counts as listed: custom resource definitions are not
    /// upgraded with the chart.
    Lenient(Latch),
    /// Nobody but the log.
    Nobody,
}

/// Watches objects with the label, or all.
pub(crate) fn follow<K>(
    api: Api<K>,
    label: Option<&str>,
    what: &'static str,
    waiting: Waiting,
) -> impl Stream<Item = watcher::Event<K>> + use<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    tell_errors(changes(api, label), what, waiting)
}

/// How long to wait between attempts.
struct Pauses(trilby_grpc::Backoff);

impl Pauses {
    fn new() -> ResetTimerBackoff<Self> {
        let pauses = trilby_grpc::Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        ResetTimerBackoff::new(Self(pauses), HEALTHY)
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.0.pause())
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0.reset();
    }
}

fn tell_errors<E>(
    events: impl Stream<Item = watcher::Result<watcher::Event<E>>> + Send + 'static,
    what: &'static str,
    waiting: Waiting,
) -> impl Stream<Item = watcher::Event<E>> {
    let (mut listed, mut complaint) = (false, Complaint::default());
    events.backoff(Pauses::new()).flat_map(move |event| {
        let events = match event {
            Ok(event) => {
                listed |= matches!(event, watcher::Event::InitDone);
                // A list that begins may still fail.
                if !matches!(event, watcher::Event::Init) {
                    complaint.settle("a watch that failed goes on");
                }
                vec![event]
            }
            Err(error) => {
                let reason = watch_reason(&error);
                match &waiting {
                    Waiting::Lenient(_) if !listed && is_unknown_kind(&error) => {
                        warn!(
                            what,
                            "the API server does not have this kind, none is served until it has"
                        );
                        listed = true;
                        return stream::iter(vec![watcher::Event::Init, watcher::Event::InitDone]);
                    }
                    Waiting::Lenient(_) if is_unknown_kind(&error) => {}
                    Waiting::Latch(latch) | Waiting::Lenient(latch) if !listed => {
                        latch.unready(format!("cannot list {what}: {reason}"));
                    }
                    _ => complaint.raise(
                        "watch failed, beginning anew; what is known stays in service",
                        &format!("{what}: {reason}"),
                    ),
                }
                Vec::new()
            }
        };
        stream::iter(events)
    })
}

fn is_unknown_kind(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(error) => is_status(error, 404),
        _ => false,
    }
}

fn watch_reason(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => reason(error),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn refused(code: u16) -> watcher::Error {
        let status = Status::failure("not served", "any").with_code(code);
        watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
    }

    async fn told(
        code: u16,
        waiting: fn(Latch) -> Waiting,
    ) -> (Vec<watcher::Event<()>>, Vec<String>) {
        let readiness = trilby_bootstrap::Readiness::default();
        let latch = readiness.latch("cache");
        let errors = stream::iter([Err(refused(code)), Err(refused(code))]);
        let events = tell_errors(errors, "things", waiting(latch))
            .collect()
            .await;
        (events, readiness.missing())
    }

    #[tokio::test(start_paused = true)]
    async fn an_optional_kind_that_is_not_installed_counts_as_listed() {
        let (events, _) = told(404, Waiting::Lenient).await;
        assert!(
            matches!(
                &events[..],
                [watcher::Event::Init, watcher::Event::InitDone]
            ),
            "{events:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_must_be_there_and_what_is_forbidden_is_waited_for_by_name() {
        for (code, waiting) in [
            (404, Waiting::Latch as fn(Latch) -> Waiting),
            (403, Waiting::Lenient as fn(Latch) -> Waiting),
        ] {
            let (events, missing) = told(code, waiting).await;
            assert!(events.is_empty(), "{events:?}");
            assert!(
                missing[0].contains("cannot list things: not served"),
                "{missing:?}"
            );
        }
    }
}
