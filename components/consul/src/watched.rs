//! The local registry: the applications that are followed, and what is known of them.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::instances::Addresses;

/// How many applications are followed at once. Each holds a connection to the agent, which takes 200 of one client;
/// beyond these, the one that was used longest ago makes room.
const MOST: usize = 100;
/// An application that nobody asked for that long is followed no more.
const IDLE: Duration = Duration::from_secs(600);

/// What is known of the applications in use.
#[derive(Debug)]
pub(crate) struct Watched {
    apps: Mutex<HashMap<String, App>>,
    /// Counts what followers have to look at.
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct App {
    /// `None` until the first answer, and while there is nobody.
    addresses: Option<Addresses>,
    used: Instant,
    /// What is known turned out to be wrong.
    doubted: bool,
}

/// Why a follower is to do something else than wait for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interruption {
    /// Nobody needs the application any more.
    Ended,
    /// The whole answer is wanted again.
    Doubted,
}

impl Default for Watched {
    fn default() -> Self {
        Self {
            apps: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }
}

impl Watched {
    /// What is known of an application, which is followed from now on.
    pub(crate) fn get(&self, app_id: &str) -> Option<Addresses> {
        let now = Instant::now();
        let mut apps = self.apps.lock();
        if let Some(app) = apps.get_mut(app_id) {
            app.used = now;
            return app.addresses.clone();
        }
        if apps.len() >= MOST {
            let oldest = apps.iter().min_by_key(|(_, app)| app.used);
            let oldest = oldest.map(|(name, _)| name.clone());
            oldest.map(|name| apps.remove(&name));
        }
        let app = App {
            addresses: None,
            used: now,
            doubted: false,
        };
        apps.insert(app_id.to_owned(), app);
        drop(apps);
        self.changes.send_modify(|count| *count += 1);
        None
    }

    /// Drops what is known of an application, which is asked for again.
    pub(crate) fn forget(&self, app_id: &str) {
        if let Some(app) = self.apps.lock().get_mut(app_id) {
            app.addresses = None;
            app.doubted = true;
        }
        self.changes.send_modify(|count| *count += 1);
    }

    /// What a follower learnt.
    pub(crate) fn learn(&self, app_id: &str, addresses: Option<Addresses>) {
        if let Some(app) = self.apps.lock().get_mut(app_id) {
            app.addresses = addresses;
        }
    }

    /// Drops the applications that nobody asks for.
    pub(crate) fn drop_idle(&self) {
        let now = Instant::now();
        let mut apps = self.apps.lock();
        apps.retain(|_, app| now - app.used < IDLE);
    }

    /// The applications to follow.
    pub(crate) fn names(&self) -> Vec<String> {
        self.apps.lock().keys().cloned().collect()
    }

    /// Tells when there is something to look at, from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Resolves when the follower of an application is to do something else.
    pub(crate) async fn interruption(&self, app_id: &str) -> Interruption {
        let mut changes = self.changes.subscribe();
        loop {
            match self.apps.lock().get_mut(app_id) {
                None => return Interruption::Ended,
                Some(app) if app.doubted => {
                    app.doubted = false;
                    return Interruption::Doubted;
                }
                Some(_) => {}
            }
            // The sender is in this value: it does not go away meanwhile.
            drop(changes.changed().await);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::time::advance;

    use super::{Addresses, IDLE, Interruption, MOST, Watched};

    fn somebody() -> Option<Addresses> {
        Some(Addresses::from(["10.0.0.1:50002".to_owned()]))
    }

    #[tokio::test]
    async fn an_application_is_followed_once_it_is_asked_for() {
        let watched = Watched::default();
        let mut changes = watched.changes();
        assert_eq!(watched.get("a"), None);
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        assert_eq!(watched.names(), ["a"]);
        watched.learn("a", somebody());
        assert_eq!(watched.get("a"), somebody());
        assert!(!changes.has_changed().unwrap());
    }

    #[tokio::test]
    async fn what_is_forgotten_is_asked_for_again_once() {
        let watched = Watched::default();
        watched.get("a");
        watched.learn("a", somebody());
        assert_eq!(watched.interruption("a").now_or_never(), None);
        watched.forget("a");
        assert_eq!(watched.get("a"), None);
        assert_eq!(watched.interruption("a").await, Interruption::Doubted);
        assert_eq!(watched.interruption("a").now_or_never(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_used_any_more_makes_room() {
        let watched = Watched::default();
        for number in 0..MOST {
            watched.get(&number.to_string());
            advance(std::time::Duration::from_secs(1)).await;
        }
        watched.get("0");
        watched.get("new");
        assert_eq!(watched.names().len(), MOST);
        assert_eq!(watched.interruption("1").await, Interruption::Ended);
        assert!(watched.names().contains(&"0".to_owned()));
        advance(IDLE).await;
        watched.get("0");
        watched.drop_idle();
        assert_eq!(watched.names(), ["0"]);
    }
}
