//! The actors that are active in this sidecar's app: activation, turns, idleness, deactivation.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicU64, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::message::first;
use crate::turn::{Chaining, TurnError, Turns};
use crate::{
    ActorError, ActorKey, ActorRequest, ActorResponse, AppCallback, Observer, REENTRANCY_HEADER,
    TypeSettings,
};

/// How long the app may take to deactivate one actor.
const DEACTIVATE_WITHIN: Duration = Duration::from_secs(5);

/// How many actors are deactivated at a time.
const DEACTIVATIONS: usize = 64;

/// The active actors.
pub(crate) struct Host {
    app: Arc<dyn AppCallback>,
    observer: Arc<dyn Observer>,
    active: Mutex<HashMap<ActorKey, Arc<Active>>>,
    activated: Notify,
    /// The origin of [`Active::used`].
    epoch: Instant,
}

/// One active actor.
struct Active {
    turns: Arc<Turns>,
    idle_timeout: Duration,
    /// When it was last used: milliseconds since the host's epoch.
    used: AtomicU64,
    /// Cancelled when the app has been told that it is no longer active.
    gone: CancellationToken,
}

// === impl Host ===

impl Host {
    pub(crate) fn new(app: Arc<dyn AppCallback>, observer: Arc<dyn Observer>) -> Self {
        Self {
            app,
            observer,
            active: Mutex::default(),
            activated: Notify::new(),
            epoch: Instant::now(),
        }
    }

    /// Runs one method in the actor's turn, activating the actor if it is not.
    ///
    /// # Errors
    /// The app failed, or the chain of calls is too deep.
    pub(crate) async fn call(
        &self,
        mut request: ActorRequest,
        settings: TypeSettings,
    ) -> Result<ActorResponse, ActorError> {
        let chain = settings
            .reentrancy
            .map(|depth| (reentrancy_id(&mut request), depth));
        let chaining = || match &chain {
            Some((id, depth)) => Chaining::Reentrant { id, depth: *depth },
            None => Chaining::Alone,
        };
        loop {
            let active = self.activate(&request.actor, settings);
            let pending = Pending::new(&*self.observer, &request.actor.actor_type);
            let turn = active.turns.take(chaining()).await;
            drop(pending);
            match turn {
                // Only when the app knows that the actor is gone may it be activated anew.
                Err(TurnError::Closed) => active.gone.cancelled().await,
                Err(TurnError::TooDeep) => return Err(ActorError::StackDepth),
                Ok(_turn) => {
                    self.touch(&active);
                    let what = format!(
                        "actors/{}/{}/method/{}",
                        request.actor.actor_type, request.actor.actor_id, request.method
                    );
                    let answer = self.app.invoke(request).await;
                    self.touch(&active);
                    return judge(answer, &what);
                }
            }
        }
    }

    /// Whether an actor is active here.
    pub(crate) fn is_active(&self, actor: &ActorKey) -> bool {
        self.active.lock().contains_key(actor)
    }

    /// How many actors of each type are active.
    pub(crate) fn counts(&self) -> HashMap<Arc<str>, u32> {
        let mut counts = HashMap::new();
        for actor in self.active.lock().keys() {
            *counts.entry(Arc::clone(&actor.actor_type)).or_default() += 1;
        }
        counts
    }

    /// Deactivates every active actor for which `leaves` holds.
    pub(crate) async fn deactivate_where(&self, leaves: impl Fn(&ActorKey) -> bool) {
        let leaving: Vec<_> = {
            let active = self.active.lock();
            let leaving = active.iter().filter(|(actor, _)| leaves(actor));
            leaving
                .map(|(actor, active)| (actor.clone(), Arc::clone(active)))
                .collect()
        };
        for (actor, _) in &leaving {
            self.observer.rebalanced(&actor.actor_type);
        }
        stream::iter(leaving)
            .for_each_concurrent(
                DEACTIVATIONS,
                async |(actor, active): (ActorKey, Arc<Active>)| {
                    if active.turns.close() {
                        self.tell_and_forget(&actor, &active).await;
                    }
                    active.gone.cancelled().await;
                },
            )
            .await;
    }

    /// Deactivates actors that nobody used for their idle timeout. Runs until it is dropped.
    pub(crate) async fn deactivate_idle(&self) {
        loop {
            let next = self.next_idle();
            let due = async {
                match next {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.activated.notified() => {}
                () = due => self.sweep().await,
            }
        }
    }

    fn activate(&self, actor: &ActorKey, settings: TypeSettings) -> Arc<Active> {
        let mut active = self.active.lock();
        if let Some(known) = active.get(actor) {
            return Arc::clone(known);
        }
        let new = Arc::new(Active {
            turns: Arc::default(),
            idle_timeout: settings.idle_timeout,
            used: AtomicU64::new(self.now()),
            gone: CancellationToken::new(),
        });
        active.insert(actor.clone(), Arc::clone(&new));
        self.activated.notify_one();
        debug!(%actor, "actor activated");
        new
    }

    fn touch(&self, active: &Active) {
        active.used.store(self.now(), Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn idle_at(&self, active: &Active) -> Instant {
        self.epoch + Duration::from_millis(active.used.load(Relaxed)) + active.idle_timeout
    }

    fn next_idle(&self) -> Option<Instant> {
        let active = self.active.lock();
        let soonest = active.values().map(|active| self.idle_at(active)).min();
        // An actor may be in the middle of a long call: look again, but not at once.
        soonest.map(|due| due.max(Instant::now() + Duration::from_millis(100)))
    }

    async fn sweep(&self) {
        let now = Instant::now();
        let idle: Vec<_> = {
            let active = self.active.lock();
            let due = active
                .iter()
                .filter(|(_, active)| self.idle_at(active) <= now);
            due.map(|(actor, active)| (actor.clone(), Arc::clone(active)))
                .collect()
        };
        stream::iter(idle)
            .for_each_concurrent(
                DEACTIVATIONS,
                async |(actor, active): (ActorKey, Arc<Active>)| {
                    if active.turns.close_if_unused() {
                        self.tell_and_forget(&actor, &active).await;
                    }
                },
            )
            .await;
    }

    /// Tells the app, whatever comes of it, and lets those go on who wait to activate the actor anew.
    async fn tell_and_forget(&self, actor: &ActorKey, active: &Active) {
        let forget = Forget {
            host: self,
            actor,
            active,
        };
        let told = tokio::time::timeout(DEACTIVATE_WITHIN, self.app.deactivate(actor)).await;
        let outcome = match told {
            Ok(Ok(())) => Ok(()),
            _ => Err(()),
        };
        self.observer.deactivated(&actor.actor_type, outcome);
        match told {
            Ok(Ok(())) => debug!(%actor, "actor deactivated"),
            Ok(Err(error)) => warn!(%actor, %error, "the app did not deactivate an actor"),
            Err(_) => {
                warn!(%actor, "the app did not deactivate an actor within {DEACTIVATE_WITHIN:?}")
            }
        }
        drop(forget);
    }
}

/// A call that waits for its turn; dropped, it no longer does.
struct Pending<'a> {
    observer: &'a dyn Observer,
    actor_type: &'a str,
}

impl<'a> Pending<'a> {
    fn new(observer: &'a dyn Observer, actor_type: &'a str) -> Self {
        observer.pending(actor_type, 1);
        Self {
            observer,
            actor_type,
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.observer.pending(self.actor_type, -1);
    }
}

/// Takes an actor off the table even if telling the app is given up.
struct Forget<'a> {
    host: &'a Host,
    actor: &'a ActorKey,
    active: &'a Active,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.host.active.lock().remove(self.actor);
        self.active.gone.cancel();
    }
}

/// The id of the chain that the call belongs to; a call that brings none begins one.
fn reentrancy_id(request: &mut ActorRequest) -> String {
    if let Some(id) = first(&request.metadata, REENTRANCY_HEADER).filter(|id| !id.is_empty()) {
        return id.to_owned();
    }
    let id = uuid::Uuid::new_v4().to_string();
    request
        .metadata
        .insert(REENTRANCY_HEADER.to_owned(), vec![id.clone()]);
    id
}

/// What the app's answer means to the caller.
fn judge(
    answer: Result<ActorResponse, crate::AppFailure>,
    what: &str,
) -> Result<ActorResponse, ActorError> {
    let response = answer.map_err(|failure| ActorError::Invoke(failure.to_string()))?;
    match response.status {
        200 => Ok(response),
        404 => Err(ActorError::Invoke(format!(
            "actor method not found: {what}"
        ))),
        status => {
            let body = String::from_utf8_lossy(&response.data);
            Err(ActorError::Invoke(format!(
                "error from actor service: ({status}) {body}"
            )))
        }
    }
}

#[cfg(test)]
mod tests;
