//! The changes of a selection in the store of a name, whichever component that is at the time.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};
use trilby_components::configuration::{
    Beginning, Change, Changes, ConfigurationError, Items, Selection,
};
use trilby_grpc::Backoff;
use trilby_resources::{ConfigurationComponent, Lookup, Resources};

use super::known::Known;

/// How long a store may take to be read, or to begin a subscription, when one goes on: far beyond its own limits.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) struct Following {
    resources: Resources,
    /// Counts changes of any component.
    components: watch::Receiver<u64>,
    store: String,
    selection: Selection,
    /// `None` while there is no component that serves.
    current: Option<Current>,
    known: Known,
    /// Something changed that the store did not tell.
    missed: bool,
    backoff: Backoff,
}

struct Current {
    component: Arc<ConfigurationComponent>,
    changes: Changes,
}

/// How the component that is followed stands to the one of the name.
enum Standing {
    Same,
    /// This one serves now.
    Replaced(Arc<ConfigurationComponent>),
    /// It is there, and does not serve.
    Away,
    /// There is none of the name any more.
    Gone,
}

fn standing(
    followed: Option<&Arc<ConfigurationComponent>>,
    found: Result<Arc<ConfigurationComponent>, Lookup>,
) -> Standing {
    match found {
        Ok(found) if followed.is_some_and(|followed| Arc::ptr_eq(followed, &found)) => {
            Standing::Same
        }
        Ok(found) => Standing::Replaced(found),
        Err(Lookup::Failed(_)) => Standing::Away,
        Err(Lookup::NotConfigured | Lookup::NotFound) => Standing::Gone,
    }
}

impl Following {
    pub(super) fn new(
        (resources, components): (Resources, watch::Receiver<u64>),
        selection: Selection,
        (component, changes): (Arc<ConfigurationComponent>, Changes),
    ) -> Self {
        Self {
            resources,
            components,
            store: component.name.clone(),
            selection,
            current: Some(Current { component, changes }),
            known: Known::default(),
            missed: false,
            backoff: Backoff::default(),
        }
    }

    /// The name.
    pub(super) fn store(&self) -> &str {
        &self.store
    }

    /// Looks what there is of the selected keys, so that a gap later is told by what changed in it. Of everything, that
    /// may be much: there, a gap tells again what has not been told.
    pub(super) async fn primed(mut self) -> Self {
        if !self.selection.keys.is_empty()
            && let Some(Ok(items)) = self.read().await
        {
            self.known.note(&items);
        }
        self
    }

    /// The items that changed next; none once there is no component of the name.
    pub(super) async fn next(&mut self) -> Option<Items> {
        loop {
            let followed = self.current.as_ref().map(|current| &current.component);
            match standing(followed, self.resources.configuration_store(&self.store)) {
                Standing::Same => {}
                Standing::Gone => return None,
                Standing::Away => {
                    self.current = None;
                    self.components.changed().await.ok()?;
                    continue;
                }
                Standing::Replaced(component) => {
                    self.go_on_with(component).await;
                    continue;
                }
            }
            let items = match self.missed {
                true => self.news().await,
                false => self.changes().await,
            };
            if let Some(items) = items.filter(|items| !items.is_empty()) {
                return Some(items);
            }
        }
    }

    /// The next change; none when something else happened that has to be looked at.
    async fn changes(&mut self) -> Option<Items> {
        let current = self.current.as_mut()?;
        tokio::select! {
            _ = self.components.changed() => None,
            change = current.changes.next() => match change {
                Some(Change::Items(items)) => {
                    self.known.note(&items);
                    Some(items)
                }
                Some(Change::Missed) => {
                    self.missed = true;
                    None
                }
                None => {
                    self.current = None;
                    None
                }
            },
        }
    }

    /// What changed in a gap.
    async fn news(&mut self) -> Option<Items> {
        match self.read().await? {
            Ok(items) => {
                self.missed = false;
                self.backoff.reset();
                Some(self.known.news(items))
            }
            Err(error) => {
                let store = &self.store;
                warn!(%error, store, "what changed in a configuration store meanwhile is not known yet");
                self.pause().await;
                None
            }
        }
    }

    async fn read(&mut self) -> Option<Result<Items, ConfigurationError>> {
        let current = self.current.as_ref()?;
        let read = timeout(LIMIT, current.component.store.get(&self.selection)).await;
        Some(read.unwrap_or_else(|_| Err(late())))
    }

    /// Follows another component of the name.
    async fn go_on_with(&mut self, component: Arc<ConfigurationComponent>) {
        // First of all the old one is let go, since it is closed when nobody uses it.
        self.current = None;
        self.missed = true;
        let store = &self.store;
        let beginning = component
            .store
            .subscribe(&self.selection, Beginning::Continued);
        let begun = timeout(LIMIT, beginning).await;
        match begun.unwrap_or_else(|_| Err(late())) {
            Ok(changes) => {
                info!(store, "a subscription goes on with a component that is new");
                self.backoff.reset();
                self.current = Some(Current { component, changes });
            }
            Err(error) => {
                warn!(%error, store, "a subscription cannot go on yet");
                self.pause().await;
            }
        }
    }

    async fn pause(&mut self) {
        let pause = self.backoff.pause();
        tokio::select! {
            () = sleep(pause) => {}
            _ = self.components.changed() => {}
        }
    }
}

fn late() -> ConfigurationError {
    ConfigurationError::Unavailable(format!("the store did not answer within {LIMIT:?}"))
}

#[cfg(test)]
mod tests {
    use trilby_resources::Lookup;

    use super::{Standing, standing};

    #[test]
    fn only_a_component_that_is_gone_ends_a_subscription() {
        for lookup in [Lookup::NotFound, Lookup::NotConfigured] {
            assert!(matches!(standing(None, Err(lookup)), Standing::Gone));
        }
        let failed = Lookup::Failed("why".to_owned());
        assert!(matches!(standing(None, Err(failed)), Standing::Away));
    }
}
