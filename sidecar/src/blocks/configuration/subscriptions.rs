//! The subscriptions that there are, by id.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use trilby_components::configuration::Items;
use uuid::Uuid;

use super::following::Following;

/// Subscriptions that one sidecar has at most: each has a connection to its store.
const MOST: usize = 1_000;

/// Who reads a subscription's changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Who subscribed.
    Caller,
    /// The application, which is called.
    Application,
}

/// There are as many as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this sidecar has {MOST} subscriptions already, and no more")]
pub(super) struct TooMany;

/// All subscriptions. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Subscriptions {
    open: Arc<Mutex<HashMap<String, Open>>>,
    serving: CancellationToken,
}

#[derive(Debug)]
struct Open {
    store: String,
    reader: Reader,
    end: CancellationToken,
}

/// A subscription's place among all; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    id: String,
    end: CancellationToken,
    open: Arc<Mutex<HashMap<String, Open>>>,
}

/// Changes of items, for as long as it is held.
pub struct Subscription {
    place: Place,
    following: Following,
}

// === impl Subscriptions ===

impl Subscriptions {
    pub(super) fn new(serving: CancellationToken) -> Self {
        Self {
            open: Arc::default(),
            serving,
        }
    }

    /// A place for one more.
    pub(super) fn place(&self, store: &str, reader: Reader) -> Result<Place, TooMany> {
        let (id, end) = (Uuid::new_v4().to_string(), self.serving.child_token());
        let mut open = self.open.lock();
        if open.len() >= MOST {
            return Err(TooMany);
        }
        let entry = Open {
            store: store.to_owned(),
            reader,
            end: end.clone(),
        };
        open.insert(id.clone(), entry);
        let open = Arc::clone(&self.open);
        Ok(Place { id, end, open })
    }

    /// Ends one, if it is one of those; false when there is none.
    pub(super) fn end(&self, id: &str, is_meant: impl Fn(&str, Reader) -> bool) -> bool {
        let mut open = self.open.lock();
        let meant = open
            .get(id)
            .is_some_and(|found| is_meant(&found.store, found.reader));
        if meant && let Some(found) = open.remove(id) {
            found.end.cancel();
        }
        meant
    }
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        self.open.lock().remove(&self.id);
    }
}

// === impl Subscription ===

impl Subscription {
    pub(super) fn new(place: Place, following: Following) -> Self {
        Self { place, following }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.place.id
    }

    /// The name of its store.
    pub(super) fn store(&self) -> &str {
        self.following.store()
    }

    /// Cancelled when it is ended.
    pub(super) fn ended(&self) -> CancellationToken {
        self.place.end.clone()
    }

    /// The items that changed next; none once it has ended.
    pub async fn next(&mut self) -> Option<Items> {
        tokio::select! {
            biased;
            () = self.place.end.cancelled() => None,
            items = self.following.next() => items,
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscription({})", self.place.id)
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::{MOST, Reader, Subscriptions, TooMany};

    #[test]
    fn one_is_ended_by_those_who_may() {
        let all = Subscriptions::new(CancellationToken::new());
        let place = all.place("store", Reader::Application).unwrap();
        assert!(!all.end(&place.id, |store, _| store == "other"));
        assert!(!all.end("unknown", |_, _| true));
        assert!(!place.end.is_cancelled());
        assert!(all.end(&place.id, |store, _| store == "store"));
        assert!(place.end.is_cancelled());
        assert!(!all.end(&place.id, |_, _| true), "once");
    }

    #[test]
    fn places_are_limited_and_given_back() {
        let serving = CancellationToken::new();
        let all = Subscriptions::new(serving.clone());
        let mut places: Vec<_> = (0..MOST)
            .map(|_| all.place("store", Reader::Caller).unwrap())
            .collect();
        assert_eq!(all.place("store", Reader::Caller).err(), Some(TooMany));
        places.pop();
        let last = all.place("store", Reader::Caller).unwrap();
        serving.cancel();
        assert!(last.end.is_cancelled());
    }
}
