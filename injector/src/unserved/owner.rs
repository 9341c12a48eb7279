//! How the pods of one owner are repaired: one pod first, and the others once its replacement has come with a sidecar.
//!
//! ```text
//! Untried ──evict one──▶ Trial ──replacement served──▶ Trusted: the others follow
//!    ▲                     │ replacement lacks its sidecar, or none comes      │ more new pods lack theirs than have them
//!    └───── pause over ── Resting ◀────────────────────────────────────────────┘
//!                            └──────── a new pod is served ────────▶ Trusted
//! ```
//!
//! So an owner for which repair does not work loses one pod, and then one after each pause; pauses grow. One for which it
//! works goes on although a pod now and then comes without: on a busy machine the API server does not always wait for the
//! injector's answer. That pod's turn comes again.

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use tokio::time::Instant;
use trilby_grpc::Backoff;

/// How long a replacement may take to be made.
const TRIAL: Duration = Duration::from_secs(120);
/// Pauses after a repair without effect.
const REST: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(3600));
/// Pauses after an eviction that was not allowed: a disruption budget frees itself in such times.
const BLOCKED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// How many new pods in a row may come without before a trusted owner is one for which repair has no effect. Enough for
/// a busy moment; and so many pods at most, beside those that are on their way, are evicted in vain when it ceases to work.
const CREDIT: u32 = 10;
/// How long it is remembered, after its pause, that repair had no effect on an owner without such pods.
const MEMORY: Duration = Duration::from_secs(7200);

/// A controller, some of whose pods lack their sidecars.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) controller: OwnerReference,
    pub(super) namespace: Box<str>,
    /// Names of its pods that lack their sidecars.
    pub(super) pods: BTreeSet<Box<str>>,
    /// Those of them that may be evicted.
    pub(super) ready: BTreeSet<Box<str>>,
    /// For which reasons it was told of them.
    pub(super) told: BTreeSet<&'static str>,
    /// The number of the last eviction that was one of its pods; 0: none was.
    pub(super) turn: u64,
    phase: Phase,
    /// No eviction before.
    not_before: Option<Instant>,
    rest: Backoff,
    blocked: Backoff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Untried,
    Trial {
        until: Instant,
    },
    Trusted {
        /// As long as the last replacement may still come.
        until: Instant,
        /// How many more new pods came with their sidecars than without, up to [`CREDIT`].
        credit: u32,
    },
    Resting {
        until: Instant,
    },
}

impl Owner {
    pub(super) fn new(controller: OwnerReference, namespace: Box<str>) -> Self {
        Self {
            controller,
            namespace,
            pods: BTreeSet::new(),
            ready: BTreeSet::new(),
            told: BTreeSet::new(),
            turn: 0,
            phase: Phase::Untried,
            not_before: None,
            rest: Backoff::new(REST.0, REST.1),
            blocked: Backoff::new(BLOCKED.0, BLOCKED.1),
        }
    }

    /// Whether a pod of it may go now; else when to ask again, if time alone can change that.
    pub(super) fn may_go(&self, now: Instant) -> Result<(), Option<Instant>> {
        let wait = match self.phase {
            Phase::Untried | Phase::Trusted { .. } => None,
            Phase::Trial { .. } => return Err(None),
            Phase::Resting { until } => Some(until),
        };
        match wait.max(self.not_before) {
            Some(until) if until > now => Err(Some(until)),
            _ => Ok(()),
        }
    }

    /// A pod of it is evicted.
    pub(super) fn begin(&mut self, now: Instant) {
        let until = now + TRIAL;
        self.phase = match self.phase {
            Phase::Trusted { credit, .. } => Phase::Trusted { until, credit },
            _ => Phase::Trial { until },
        };
    }

    /// It was not: the pod stays.
    pub(super) fn refused(&mut self, now: Instant) {
        self.gone();
        self.not_before = Some(now + self.blocked.pause());
    }

    /// It was not: somebody else took the pod away, which says nothing about the next one.
    pub(super) fn gone(&mut self) {
        if matches!(self.phase, Phase::Trial { .. }) {
            self.phase = Phase::Untried;
        }
    }

    /// It was.
    pub(super) fn evicted(&mut self) {
        self.blocked.reset();
    }

    /// A new pod of it came with its sidecar.
    pub(super) fn served(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Trusted { credit, .. } => *credit = CREDIT.min(*credit + 1),
            Phase::Trial { .. } | Phase::Resting { .. } => {
                let until = now + TRIAL;
                self.phase = Phase::Trusted { until, credit: 1 };
                self.rest.reset();
            }
            Phase::Untried => {}
        }
    }

    /// A new pod of it came without. Whether that shows that repair has no effect, and for how long it rests then.
    pub(super) fn lacking(&mut self, now: Instant) -> Option<Duration> {
        match &mut self.phase {
            Phase::Trusted { credit, .. } if *credit > 0 => {
                *credit -= 1;
                None
            }
            Phase::Trial { .. } | Phase::Trusted { .. } => Some(self.rests(now)),
            Phase::Untried | Phase::Resting { .. } => None,
        }
    }

    /// The same, for a trial in which no pod came.
    pub(super) fn expired(&mut self, now: Instant) -> Option<Duration> {
        let over = self.trial_ends().is_some_and(|until| until <= now);
        over.then(|| self.rests(now))
    }

    /// When the trial ends, if there is one.
    pub(super) fn trial_ends(&self) -> Option<Instant> {
        match self.phase {
            Phase::Trial { until } => Some(until),
            _ => None,
        }
    }

    /// Whether nothing was tried.
    pub(super) fn is_new(&self) -> bool {
        self.phase == Phase::Untried
    }

    /// Whether there is nothing to remember of it.
    pub(super) fn is_done(&self, now: Instant) -> bool {
        self.pods.is_empty()
            && match self.phase {
                Phase::Untried => true,
                Phase::Trial { .. } => false,
                Phase::Trusted { until, .. } => until <= now,
                Phase::Resting { until } => until + MEMORY <= now,
            }
    }

    fn rests(&mut self, now: Instant) -> Duration {
        let pause = self.rest.pause();
        self.phase = Phase::Resting { until: now + pause };
        pause
    }
}
