//! What goes into the updater and what comes out.

use std::{collections::BTreeSet, collections::HashSet, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    initialise::{Failure, Initialiser},
    instance::{Remains, Running},
    manifest::{Manifest, Received},
};

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// All components that the source has; others are gone, except for those in `newer`, about which
    /// something newer was said.
    Snapshot {
        /// What there is.
        all: Vec<Received>,
        /// Names to leave alone.
        newer: HashSet<String>,
    },
    /// A component is there, or changed.
    Changed(Received),
    /// A component is gone.
    Gone(String),
    /// An attempt to start one ended.
    Started {
        /// Whose attempt.
        name: String,
        /// Which attempt; results of superseded ones are dropped.
        attempt: u64,
        /// How it ended.
        outcome: Result<(Running, Remains), Failure>,
    },
    /// A pause before another attempt is over.
    Due {
        /// Whose attempt.
        name: String,
        /// The attempt that failed.
        attempt: u64,
    },
    /// `components.deny` of the Configuration.
    Deny(Vec<String>),
    /// Types that were not there before, or that are there anew: full, in lower case.
    Arrived(BTreeSet<String>),
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Action {
    /// Start a component, unless cancelled.
    Start(Job),
    /// Say [`Event::Due`] after a pause.
    Wait {
        /// Whose attempt.
        name: String,
        /// The attempt that failed.
        attempt: u64,
        /// How long.
        pause: Duration,
    },
    /// Close a component once it is out of the view.
    Retire(Remains),
}

/// One attempt to start a component.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) attempt: u64,
    pub(crate) manifest: Arc<Manifest>,
    /// Of the secret store that the manifest names.
    pub(crate) secrets: Option<Running>,
    pub(crate) cancelled: CancellationToken,
}

impl Job {
    /// Runs the attempt; `None` when it was cancelled.
    pub(crate) async fn run(self, initialiser: Arc<Initialiser>) -> Option<Event> {
        let secrets = match self.secrets {
            Some(Running::Secret(store)) => Some(store as _),
            _ => None,
        };
        let attempt = initialiser.initialise(&self.manifest, secrets);
        let outcome = self.cancelled.run_until_cancelled(attempt).await?;
        Some(Event::Started {
            name: self.name,
            attempt: self.attempt,
            outcome,
        })
    }
}
