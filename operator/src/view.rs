//! What sidecars see of one kind: an immutable view per namespace, replaced whole at each change.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

#[cfg(test)]
mod tests;

/// One resource as it goes out. Shared by every reply and stream that carries it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Published {
    pub json: Bytes,
    pub scopes: Box<[Box<str>]>,
}

/// The resources of one kind in one namespace, by name.
pub(crate) type View = BTreeMap<Arc<str>, Arc<Published>>;

/// The current view of each namespace, and who follows it. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Views(Arc<Mutex<Namespaces>>);

type Namespaces = HashMap<Box<str>, watch::Sender<Arc<View>>>;

/// How one resource changed in the eyes of one sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Created,
    Updated,
    Deleted,
}

impl Published {
    pub(crate) fn in_scope_of(&self, app_id: &str) -> bool {
        self.scopes.is_empty() || self.scopes.iter().any(|scope| **scope == *app_id)
    }
}

impl Views {
    /// The namespace's view now.
    pub(crate) fn get(&self, namespace: &str) -> Arc<View> {
        self.0
            .lock()
            .get(namespace)
            .map(|view| Arc::clone(&view.borrow()))
            .unwrap_or_default()
    }

    /// The namespace's view now and whenever it changes.
    pub(crate) fn subscribe(&self, namespace: &str) -> watch::Receiver<Arc<View>> {
        let mut namespaces = self.0.lock();
        if let Some(view) = namespaces.get(namespace) {
            return view.subscribe();
        }
        // A good moment to forget namespaces that have neither resources nor followers any more.
        namespaces.retain(|_, view| view.receiver_count() > 0 || !view.borrow().is_empty());
        let (sender, receiver) = watch::channel(Arc::default());
        namespaces.insert(namespace.into(), sender);
        receiver
    }

    /// Publishes a resource, or with `None` that it is gone. Nothing happens if that is known already.
    pub(crate) fn publish(&self, namespace: &str, name: &Arc<str>, resource: Option<Published>) {
        let mut namespaces = self.0.lock();
        let view = namespaces
            .entry(namespace.into())
            .or_insert_with(|| watch::Sender::new(Arc::default()));
        view.send_if_modified(|view| match resource {
            Some(new) if view.get(name).is_some_and(|old| **old == new) => false,
            Some(new) => {
                Arc::make_mut(view).insert(Arc::clone(name), Arc::new(new));
                true
            }
            None => view.contains_key(name) && Arc::make_mut(view).remove(name).is_some(),
        });
        if view.receiver_count() == 0 && view.borrow().is_empty() {
            namespaces.remove(namespace);
        }
    }
}

/// What a sidecar that knows `old` must be told to know `new`, if it sees what `sees` says. What is gone comes
/// first, so that a resource can replace another of a different name.
///
/// A resource that comes into sight is created for that sidecar; one that goes out of sight is deleted, as the
/// sidecar last knew it.
pub(crate) fn changes(
    old: &View,
    new: &View,
    sees: impl Fn(&str, &Published) -> bool,
) -> Vec<(Change, Bytes)> {
    let visible = |view: &View, name: &Arc<str>| {
        view.get(name)
            .filter(|resource| sees(name, resource))
            .cloned()
    };
    let gone = old.keys().filter_map(|name| {
        let resource = visible(old, name)?;
        visible(new, name)
            .is_none()
            .then(|| (Change::Deleted, resource.json.clone()))
    });
    let here = new.keys().filter_map(|name| {
        let resource = visible(new, name)?;
        match visible(old, name) {
            None => Some((Change::Created, resource.json.clone())),
            Some(before) if Arc::ptr_eq(&before, &resource) || before.json == resource.json => None,
            Some(_) => Some((Change::Updated, resource.json.clone())),
        }
    });
    gone.chain(here).collect()
}
