//! Watches that never end: they begin anew, with pauses, after whatever error.

use std::fmt::Debug;

use futures_util::{Stream, StreamExt};
use kube::{
    Api, Client, Resource,
    core::{ApiResource, DynamicResourceScope, GroupVersionKind},
    runtime::{WatchStreamExt, watcher},
};
use serde::de::DeserializeOwned;
use tracing::warn;
use trilby_bootstrap::Latch;

use crate::{
    cluster::{Scope, reason},
    resource::{Document, Kind},
};

/// Something happened to a resource.
pub(crate) type Event = watcher::Event<Document>;

/// Objects per page of a list: a whole list never stands in memory as text.
const PAGE: u32 = 100;

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
    let gvk = GroupVersionKind::gvk(trilby_crds::GROUP, trilby_crds::V1ALPHA1, kind.name());
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
    let mut config = watcher::Config::default().page_size(PAGE);
    config.label_selector = label.map(str::to_owned);
    tell_errors(watcher(api, config), what, waiting)
}

fn tell_errors<E>(
    events: impl Stream<Item = watcher::Result<watcher::Event<E>>> + Send + 'static,
    what: &'static str,
    waiting: Waiting,
) -> impl Stream<Item = watcher::Event<E>> {
    let mut listed = false;
    events.default_backoff().filter_map(move |event| {
        let event = match event {
            Ok(event) => {
                listed |= matches!(event, watcher::Event::InitDone);
                Some(event)
            }
            Err(error) => {
                let reason = watch_reason(&error);
                match &waiting {
                    Waiting::Latch(latch) if !listed => {
                        latch.unready(format!("cannot list {what}: {reason}"));
                    }
                    _ => warn!(
                        what,
                        reason, "watch failed, beginning anew; what is known stays in service"
                    ),
                }
                None
            }
        };
        std::future::ready(event)
    })
}

fn watch_reason(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => reason(error),
        other => other.to_string(),
    }
}
