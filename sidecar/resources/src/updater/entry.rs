//! One component: what it shall be, what serves, and what is under way.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio_util::sync::{CancellationToken, DropGuard};
use trilby_grpc::Backoff;

use crate::{
    initialise::Failure,
    instance::{Remains, Running, StateComponent},
    ledger::{Outcome, State},
    manifest::{Manifest, Received},
};

/// What a component is going through.
#[derive(Debug)]
pub(super) enum Phase {
    /// Nothing has been decided about what is desired.
    New,
    /// What is desired serves.
    Settled,
    /// An attempt is under way; dropping it cancels the attempt.
    Starting(#[expect(dead_code, reason = "cancels when dropped")] DropGuard),
    /// Its secret store, of this name, does not serve.
    Waiting(String),
    /// The Configuration forbids it.
    Denied,
    /// It cannot be started.
    Failed,
}

/// An instance that serves, what it is, and what will close it.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) running: Running,
    pub(super) remains: Remains,
    /// Not those of the component as it stands when that does not start.
    type_name: String,
    version: String,
}

/// One component.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) desired: Received,
    pub(super) phase: Phase,
    pub(super) serving: Option<Serving>,
    /// Counts attempts to start it.
    pub(super) attempt: u64,
    /// Why the last attempt failed; kept until one succeeds or something else is desired.
    failure: Option<Failure>,
    backoff: Backoff,
    /// Whether it failed in the first load, and has not served since.
    missing_since_start: bool,
}

impl Entry {
    pub(super) fn new(desired: Received) -> Self {
        Self {
            desired,
            phase: Phase::New,
            serving: None,
            attempt: 0,
            failure: None,
            backoff: Backoff::default(),
            missing_since_start: false,
        }
    }

    /// The first load is over.
    pub(super) fn hold_up_start(&mut self) {
        self.missing_since_start = self.failure.is_some() && self.serving.is_none();
    }

    /// Whether the sidecar is not ready without it: upstream's ends.
    pub(super) fn holds_up_start(&self) -> bool {
        let manifest = self.described();
        self.missing_since_start
            && self.failure.is_some()
            && manifest.is_some_and(|manifest| !manifest.ignore_errors)
    }

    /// Takes what the source says, unless it is older than what it said before; false when it says nothing
    /// new.
    pub(super) fn take(&mut self, received: Received) -> bool {
        if let (Received::Manifest(new), Received::Manifest(old)) = (&received, &self.desired)
            && new.revision.is_before(&old.revision)
        {
            return false;
        }
        self.replace(received)
    }

    /// Takes what shall be from now on; false when it is the same.
    pub(super) fn replace(&mut self, received: Received) -> bool {
        let same = received == self.desired;
        // Also when nothing else changed: the revision did.
        self.desired = received;
        if !same {
            self.phase = Phase::New;
            self.failure = None;
            self.backoff.reset();
        }
        !same
    }

    /// Whether what is desired serves or is on its way.
    pub(super) fn is_up_to_date(&self) -> bool {
        match &self.phase {
            Phase::Settled | Phase::Starting(_) => true,
            Phase::Failed => self
                .failure
                .as_ref()
                .is_some_and(|failure| !failure.passing),
            Phase::New | Phase::Waiting(_) | Phase::Denied => false,
        }
    }

    /// Whether its type is one of these, which are in lower case.
    pub(super) fn is_of(&self, types: &BTreeSet<String>) -> bool {
        let manifest = self.described();
        manifest.is_some_and(|manifest| types.contains(&manifest.type_name.to_lowercase()))
    }

    /// Forgets that it has failed, for another attempt at once; false when it has not. What it failed of stays known
    /// until that attempt ends.
    pub(super) fn try_anew(&mut self) -> bool {
        let failed = matches!(self.phase, Phase::Failed);
        if failed {
            self.phase = Phase::New;
            self.backoff.reset();
        }
        failed
    }

    pub(super) fn is_starting(&self) -> bool {
        matches!(self.phase, Phase::Starting(_))
    }

    /// Begins an attempt; an earlier one is cancelled.
    pub(super) fn start(&mut self) -> (u64, CancellationToken) {
        let token = CancellationToken::new();
        self.phase = Phase::Starting(token.clone().drop_guard());
        self.attempt += 1;
        (self.attempt, token)
    }

    /// Enters a phase in which nothing happens by itself; false when it was in it already.
    pub(super) fn settle(&mut self, phase: Phase) -> bool {
        let same = match (&self.phase, &phase) {
            (Phase::Waiting(old), Phase::Waiting(new)) => old == new,
            (Phase::Denied, Phase::Denied) => true,
            _ => false,
        };
        self.phase = phase;
        self.failure = None;
        !same
    }

    /// Puts a new instance into service and gives back the old one.
    pub(super) fn serve(&mut self, running: Running, remains: Remains) -> Option<Serving> {
        let (type_name, version) = self.type_and_version();
        let serving = Serving {
            type_name: type_name.to_owned(),
            version: version.to_owned(),
            running,
            remains,
        };
        if let Received::Manifest(manifest) = &self.desired {
            tracing::info!("Component loaded: {}", manifest.log_name());
        }
        self.phase = Phase::Settled;
        self.failure = None;
        self.missing_since_start = false;
        self.backoff.reset();
        self.serving.replace(serving)
    }

    /// Notes a failure, once; the pause before the next attempt if it may pass.
    pub(super) fn fail(&mut self, failure: Failure) -> Option<Duration> {
        let news = self.failure.as_ref() != Some(&failure);
        if news {
            self.log(&failure);
        }
        let pause = failure.passing.then(|| self.backoff.pause());
        self.phase = Phase::Failed;
        self.failure = Some(failure);
        pause
    }

    fn log(&self, failure: &Failure) {
        let component = self.desired.name();
        let old_one_serves = self.serving.is_some();
        let will_retry = failure.passing;
        let error = &failure.reason;
        match &self.desired {
            Received::Manifest(manifest) if manifest.ignore_errors => {
                tracing::warn!(component, old_one_serves, will_retry, "{error}");
            }
            _ => tracing::error!(component, old_one_serves, will_retry, "{error}"),
        }
    }

    pub(super) fn running(&self) -> Option<&Running> {
        Some(&self.serving.as_ref()?.running)
    }

    /// The store, if actors can and shall keep their state here.
    pub(super) fn actor_store(&self) -> Option<&Arc<StateComponent>> {
        match self.running()? {
            Running::State(component)
                if component.holds_actors && component.store.can_hold_actors() =>
            {
                Some(component)
            }
            _ => None,
        }
    }

    /// Of what serves, else of what is desired; empty when that is no component.
    pub(super) fn shown_as(&self) -> (&str, &str) {
        match &self.serving {
            Some(serving) => (&serving.type_name, &serving.version),
            None => self.type_and_version(),
        }
    }

    fn type_and_version(&self) -> (&str, &str) {
        let manifest = self.described();
        manifest.map_or(("", ""), |manifest| {
            (&manifest.type_name, &manifest.version)
        })
    }

    fn described(&self) -> Option<&Manifest> {
        match &self.desired {
            Received::Manifest(manifest) => Some(manifest),
            Received::Broken { .. } => None,
        }
    }

    /// Where what is desired stands.
    pub(super) fn state(&self) -> State {
        let outcome = match (&self.phase, self.error()) {
            (Phase::Settled, _) => Outcome::Loaded,
            (_, Some(reason)) => Outcome::Failed {
                reason,
                older_in_force: self.serving.is_some(),
            },
            (_, None) => Outcome::Pending,
        };
        State::new(self.desired.revision(), outcome)
    }

    /// Why what is desired does not serve.
    pub(super) fn error(&self) -> Option<String> {
        match &self.phase {
            Phase::Waiting(store) => Some(format!(
                "it waits for the secret store {store:?} (auth.secretStore), which does not serve"
            )),
            Phase::Denied => Some("it is denied by the Configuration (components.deny)".to_owned()),
            Phase::New | Phase::Settled | Phase::Starting(_) | Phase::Failed => {
                self.failure.as_ref().map(|failure| failure.reason.clone())
            }
        }
    }
}
