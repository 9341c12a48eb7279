//! What sidecars see of one kind: an immutable view per namespace, replaced whole at each change.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::wire::Encoded;

#[cfg(test)]
mod tests;

/// One resource as it goes out. Shared by every reply and stream that carries it.
#[derive(Debug)]
pub(crate) struct Published {
    pub encoded: Encoded,
    pub scopes: Box<[Box<str>]>,
}

/// The resources of one kind in one namespace, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    resources: BTreeMap<Arc<str>, Arc<Published>>,
    /// Which one it is, of all there were of any kind and namespace; 0: one without resources, from the beginning.
    number: u64,
    /// The one that it was made from.
    before: u64,
    /// The resource in which it differs from that.
    changed: Option<Arc<str>>,
}

/// The number of the view made last. A namespace may be forgotten and come back: its views never share a number.
static LAST: AtomicU64 = AtomicU64::new(0);

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
    pub(crate) fn new(json: &[u8], scopes: Box<[Box<str>]>) -> Self {
        Self {
            encoded: Encoded::new(json),
            scopes,
        }
    }

    pub(crate) fn in_scope_of(&self, app_id: &str) -> bool {
        trilby_crds::scopes_include(&self.scopes, app_id)
    }

    fn same(&self, other: &Self) -> bool {
        self.scopes == other.scopes && self.encoded.json() == other.encoded.json()
    }
}

impl View {
    pub(crate) fn get(&self, name: &str) -> Option<&Published> {
        self.resources.get(name).map(|resource| &**resource)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Published> + Clone {
        self.resources.values().map(|resource| &**resource)
    }

    fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }

    /// Sets a resource, or takes it out.
    fn set(&mut self, name: &Arc<str>, resource: Option<Published>) {
        match resource {
            Some(new) => self.resources.insert(Arc::clone(name), Arc::new(new)),
            None => self.resources.remove(name),
        };
        self.before = self.number;
        self.number = LAST.fetch_add(1, Relaxed) + 1;
        self.changed = Some(Arc::clone(name));
    }

    /// The only resource in which it may differ from `old`, if there is only one.
    fn step_from(&self, old: &Self) -> Option<&Arc<str>> {
        self.changed.as_ref().filter(|_| self.before == old.number)
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
        view.send_if_modified(|view| {
            let known = match (view.get(name), &resource) {
                (Some(old), Some(new)) => old.same(new),
                (None, None) => true,
                _ => false,
            };
            if !known {
                Arc::make_mut(view).set(name, resource);
            }
            !known
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
) -> Vec<(Change, Arc<Published>)> {
    let told = |name: &Arc<str>| change((old, new), name, &sees);
    // Nearly always a stream is one step behind: it need not look at what else there is.
    if let Some(name) = new.step_from(old) {
        return told(name).into_iter().collect();
    }
    let gone = old.resources.keys().filter_map(told);
    let gone = gone.filter(|(change, _)| *change == Change::Deleted);
    let here = new.resources.keys().filter_map(told);
    let here = here.filter(|(change, _)| *change != Change::Deleted);
    gone.chain(here).collect()
}

/// How one resource changed for a sidecar.
fn change(
    (old, new): (&View, &View),
    name: &Arc<str>,
    sees: impl Fn(&str, &Published) -> bool,
) -> Option<(Change, Arc<Published>)> {
    let visible = |view: &View| {
        let resource = view.resources.get(name);
        resource.filter(|resource| sees(name, resource)).cloned()
    };
    match (visible(old), visible(new)) {
        (None, None) => None,
        (Some(last), None) => Some((Change::Deleted, last)),
        (None, Some(first)) => Some((Change::Created, first)),
        (Some(before), Some(now)) => {
            let same = Arc::ptr_eq(&before, &now) || before.encoded.json() == now.encoded.json();
            (!same).then_some((Change::Updated, now))
        }
    }
}
