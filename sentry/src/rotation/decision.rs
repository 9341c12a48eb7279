//! When a step of a rotation is due, and what it waits for otherwise. No I/O, no clock.

use std::time::{Duration, SystemTime};

use super::{Holders, Orders, Phase, Record};
use crate::bundle::unix_seconds;

/// How often the store is looked at, at most: an order takes effect within this time, a damaged ConfigMap is repaired.
const POLL: Duration = Duration::from_secs(5);

/// How often the store is looked at where certificates hold so long.
pub(crate) fn poll(workload_ttl: Duration) -> Duration {
    (workload_ttl / 4).clamp(Duration::from_millis(500), POLL)
}

/// How long after a step another replica may act as if it had not been made: three looks at the store.
pub(crate) fn replica_lag(workload_ttl: Duration) -> Duration {
    3 * poll(workload_ttl)
}

/// How long the kubelet and whoever follows a file may take to see that a mounted ConfigMap changed, with room to
/// spare: it refreshes them once a minute or so.
pub(crate) const MOUNT_LAG: Duration = Duration::from_mins(5);

/// The longest part of an order by hand that is kept and shown, in characters.
const SHOWN: usize = 64;

/// What is known at the moment of a decision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation<'a> {
    pub(crate) record: &'a Record,
    pub(crate) orders: &'a Orders,
    pub(crate) authority: &'a AuthorityFacts,
    pub(crate) holders: &'a Holders,
    pub(crate) now: SystemTime,
    /// How long workloads' certificates hold.
    pub(crate) workload_ttl: Duration,
    /// When the last certificate ends that an issuer before the one in use signed here, in seconds since 1970. The
    /// time that certificates hold may have been longer then.
    pub(crate) leaves_end_here: u64,
}

/// What the documents in use say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuthorityFacts {
    /// When two thirds of the root's life are over.
    pub(crate) root_due: SystemTime,
    /// Whether a sentry made it, this one or upstream's: it may be replaced without being asked.
    pub(crate) ours: bool,
    /// Why it is not what would be made now.
    pub(crate) outdated: Option<String>,
    /// Whether none of the roots that are to go vouches for anything any more.
    pub(crate) old_roots_ended: bool,
    /// Whether the documents are those that the record speaks of.
    pub(crate) fits_record: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing, until this happened.
    Stay(Waiting),
    Go(Transition),
}

/// A change of the documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Transition {
    /// Make another authority.
    Prepare {
        reason: String,
        /// The order by hand that is followed, if one is.
        trigger: Option<String>,
    },
    /// Trust both roots.
    Distribute,
    /// Sign with the new issuer.
    Activate,
    /// Trust the old root longer: until then, in seconds since 1970.
    Prolong { until: u64 },
    /// Trust the new root alone.
    Retire,
    /// Send the bridge along no more.
    DropBridge,
    /// Forget the rotation: the documents were replaced by somebody else.
    Abandon,
}

/// What a rotation waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// For people; empty if there is nothing to wait for.
    pub(crate) text: String,
    /// Who is waited for, by name.
    pub(crate) names: Vec<String>,
}

impl Waiting {
    pub(crate) fn nothing() -> Self {
        Self::default()
    }

    pub(crate) fn because(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            names: Vec::new(),
        }
    }
}

/// Says what to do next.
pub(crate) fn decide(situation: &Situation<'_>) -> Step {
    let Situation { record, orders, .. } = situation;
    if orders.paused {
        let due = !record.phase.is_rest() || matches!(begin(situation), Some(Step::Go(_)));
        let text = if due { "paused" } else { "" };
        return Step::Stay(Waiting::because(text));
    }
    if !situation.authority.fits_record {
        return Step::Go(Transition::Abandon);
    }
    match record.phase {
        Phase::Stable => begin(situation).unwrap_or_else(|| Step::Stay(Waiting::nothing())),
        // Nobody is disturbed by one more root.
        Phase::Prepared => Step::Go(Transition::Distribute),
        Phase::Distributed => activate(situation),
        Phase::Active => retire(situation),
        Phase::Retired => begin(situation).unwrap_or_else(|| drop_bridge(situation)),
    }
}

/// The order by hand that was not followed yet, cut to what is kept of it.
fn order(situation: &Situation<'_>) -> Option<String> {
    let asked: String = situation
        .orders
        .rotate
        .as_ref()?
        .chars()
        .take(SHOWN)
        .collect();
    (situation.record.trigger.as_ref() != Some(&asked)).then_some(asked)
}

fn begin(situation: &Situation<'_>) -> Option<Step> {
    let prepare = |reason: String, trigger| Some(Step::Go(Transition::Prepare { reason, trigger }));
    if let Some(asked) = order(situation) {
        return prepare(format!("asked for by hand: {asked}"), Some(asked));
    }
    let facts = situation.authority;
    let due = situation.now >= facts.root_due;
    match (facts.ours, &facts.outdated) {
        (true, Some(reason)) => prepare(reason.clone(), None),
        (true, None) if due => prepare("two thirds of the root's life are over".to_owned(), None),
        (false, _) if due => Some(Step::Stay(Waiting::because(
            "two thirds of the root's life are over, but it is not of sentry's making: replace it, or ask for a rotation",
        ))),
        _ => None,
    }
}

/// How long the phase has lasted.
fn lasted(situation: &Situation<'_>) -> Duration {
    let since = Duration::from_secs(situation.record.since);
    let since = SystemTime::UNIX_EPOCH + since;
    situation.now.duration_since(since).unwrap_or_default()
}

fn activate(situation: &Situation<'_>) -> Step {
    let go = Step::Go(Transition::Activate);
    if situation.authority.old_roots_ended {
        return go;
    }
    let lasted = lasted(situation);
    let bridge = situation.record.bridge.is_some();
    // By then whoever takes new roots from answers has asked again. The others hold what their pod was started with,
    // and the bridge is for them.
    let everybody_asked = lasted >= situation.workload_ttl + replica_lag(situation.workload_ttl);
    if bridge && everybody_asked {
        return go;
    }
    match situation.holders {
        Holders::Unknown(why) if bridge => Step::Stay(Waiting::because(format!(
            "{why}; goes on when every certificate was renewed"
        ))),
        Holders::Unknown(why) => Step::Stay(Waiting::because(why.clone())),
        Holders::Known { untrusting, .. } if !untrusting.is_empty() => Step::Stay(Waiting {
            text: "workloads that are not known to trust the new root".to_owned(),
            names: untrusting.clone(),
        }),
        // Without a bridge a pod that was made from an older copy of the anchors would be left alone.
        Holders::Known { .. } if !bridge && lasted < MOUNT_LAG => Step::Stay(Waiting::because(
            "pods that are being made from older copies of the anchors",
        )),
        Holders::Known { .. } => go,
    }
}

fn retire(situation: &Situation<'_>) -> Step {
    let retire = Step::Go(Transition::Retire);
    if situation.authority.old_roots_ended {
        return retire;
    }
    let end = situation.record.leaves_end.unwrap_or(u64::MAX);
    let until = situation.leaves_end_here;
    if until > end {
        return Step::Go(Transition::Prolong { until });
    }
    if unix_seconds(situation.now) > end {
        return retire;
    }
    Step::Stay(Waiting::because(
        "the end of the last certificate of the old issuer",
    ))
}

fn drop_bridge(situation: &Situation<'_>) -> Step {
    let Some(bridge) = &situation.record.bridge else {
        return Step::Go(Transition::DropBridge);
    };
    if bridge.not_after <= unix_seconds(situation.now) {
        return Step::Go(Transition::DropBridge);
    }
    // Not everybody who holds anchors is a pod; whoever lives has asked again by then.
    let everybody_asked = lasted(situation) >= situation.workload_ttl.max(MOUNT_LAG);
    match situation.holders {
        Holders::Unknown(why) => Step::Stay(Waiting::because(why.clone())),
        Holders::Known { snapshots, .. } if snapshots.is_empty() && !everybody_asked => {
            Step::Stay(Waiting::because("every workload to ask for a certificate once more"))
        }
        Holders::Known { snapshots, .. } if snapshots.is_empty() => {
            Step::Go(Transition::DropBridge)
        }
        Holders::Known { snapshots, .. } => Step::Stay(Waiting {
            text: "pods that were started with the old root alone, to be restarted before the bridge ends".to_owned(),
            names: snapshots.clone(),
        }),
    }
}

#[cfg(test)]
mod tests;
