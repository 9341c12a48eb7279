//! One subscription: the ConfigMap, watched. A watch that breaks is made again, and begins with what there is then: what
//! changed meanwhile is told as any other change.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Error, watch_object};
use tracing::{info, warn};
use trilby_components::causes::with_causes;
use trilby_components::configuration::{Beginning, Change, ConfigurationError, Items, Selection};

use super::held::Held;
use super::{refusal, selected};

type States = Pin<Box<dyn Stream<Item = Result<Option<ConfigMap>, Error>> + Send>>;

pub(super) struct Watching {
    states: States,
    selection: Selection,
    held: Held,
    /// What is told before anything has changed.
    first: Items,
    failing: bool,
}

impl Watching {
    /// Watches, from what there is now.
    ///
    /// # Errors
    /// The API server refuses.
    pub(super) async fn begin(
        objects: &Api<ConfigMap>,
        name: &str,
        selection: Selection,
        beginning: Beginning,
    ) -> Result<Self, ConfigurationError> {
        let mut states: States = Box::pin(watch_object(objects.clone(), name).default_backoff());
        let held = match states.next().await {
            Some(Ok(object)) => Held::of(object.as_ref()),
            Some(Err(error)) => return Err(told(&error)),
            None => return Err(ended()),
        };
        let first = match beginning {
            Beginning::New => selected(held.items(), &selection),
            Beginning::Continued => Items::new(),
        };
        Ok(Self {
            states,
            selection,
            held,
            first,
            failing: false,
        })
    }

    /// The next change.
    pub(super) async fn next(&mut self) -> Option<Change> {
        let first = std::mem::take(&mut self.first);
        if !first.is_empty() {
            return Some(Change::Items(first));
        }
        loop {
            match self.states.next().await? {
                Ok(object) => {
                    if std::mem::take(&mut self.failing) {
                        info!("a subscription found the API server again");
                    }
                    let now = Held::of(object.as_ref());
                    let changes = selected(self.held.changes(&now), &self.selection);
                    self.held = now;
                    if !changes.is_empty() {
                        return Some(Change::Items(changes));
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.failing, true) {
                        let error = with_causes(&error);
                        warn!(
                            error,
                            "a subscription lost the API server, it comes back by itself"
                        );
                    }
                }
            }
        }
    }
}

/// What a watch that does not begin means to the caller.
fn told(error: &Error) -> ConfigurationError {
    match error {
        Error::InitialListFailed(error) | Error::WatchStartFailed(error) => refusal(error),
        other => ConfigurationError::Unavailable(format!("Kubernetes: {}", with_causes(other))),
    }
}

fn ended() -> ConfigurationError {
    ConfigurationError::Unavailable("Kubernetes: the watch ended".to_owned())
}
