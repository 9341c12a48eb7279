//! Drives the rotation of roots: looks, decides, stores one step, tells.

mod step;
mod telling;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::Authority;
use crate::{
    bundle::unix_seconds,
    issuer::Issuer,
    rotation::{
        Holders, Orders, Phase, Record, Step, decide,
        decision::{Situation, Transition, Waiting},
        holders::Pods,
        status::{ConditionKind, ConditionStatus},
        transition,
    },
    source::SourceError,
    surroundings::{News, Tone},
};
use step::{StepError, make, news};

/// How often pods are listed while a rotation waits for them: at most, and after it has waited for hours, or while only
/// a bridge does. What is said here and now is thought of without that.
const LIST: Duration = Duration::from_secs(15);
const LIST_AT_REST: Duration = Duration::from_mins(10);

/// How soon it is tried again when that failed.
const LIST_AGAIN: Duration = Duration::from_secs(5);

/// The most names of workloads in one line of the log.
const LOGGED: usize = 20;

/// How often what was heard is shared, at most.
const SHARE: Duration = Duration::from_secs(5);

/// What is remembered between two looks.
pub(super) struct Rotator {
    began: Instant,
    /// When pods were listed last, and what was found.
    listed: Option<(Instant, Result<Option<Pods>, String>)>,
    shared: Option<Instant>,
    waiting: Waiting,
    /// Why the last step failed, or the record cannot be read.
    trouble: String,
    published: String,
    told: HashMap<&'static str, (String, Instant)>,
    /// What could not be told yet.
    untold: VecDeque<News>,
    conditions: HashMap<ConditionKind, ConditionStatus>,
    /// What is in the log already about the surroundings.
    complaint: String,
}

impl Rotator {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            listed: None,
            shared: None,
            waiting: Waiting::nothing(),
            trouble: String::new(),
            published: String::new(),
            told: HashMap::new(),
            untold: VecDeque::new(),
            conditions: HashMap::new(),
            complaint: String::new(),
        }
    }

    /// Makes the step that is due; returns the issuer after it, if one was made.
    pub(super) async fn step(
        &mut self,
        authority: &Authority,
        orders: &Orders,
    ) -> Option<Arc<Issuer>> {
        let issuer = authority.issuer()?;
        let documents = issuer.documents();
        let record = match Record::read(documents.rotation.record.as_deref()) {
            Ok(record) => record,
            Err(error) => {
                self.trouble_is(authority, error.to_string()).await;
                return None;
            }
        };
        self.listen(authority, &record).await;
        let holders = self.holders(authority, &record).await;
        let order = authority.order();
        let source = &*authority.sources.configured;
        let facts = transition::facts(documents, &record, (source, order));
        let step = decide(&Situation {
            record: &record,
            orders,
            authority: &facts,
            holders: &holders,
            now: order.now,
            workload_ttl: authority.moment().1.ttl,
            leaves_end_here: authority.leaves.of_others(issuer.id()),
        });
        match step {
            Step::Stay(waiting) => {
                self.wait(record.phase, waiting);
                self.trouble.clear();
                None
            }
            Step::Go(transition) => self.go(authority, (&issuer, record), transition).await,
        }
    }

    async fn go(
        &mut self,
        authority: &Authority,
        (issuer, record): (&Arc<Issuer>, Record),
        transition: Transition,
    ) -> Option<Arc<Issuer>> {
        let news = news(&transition, &record);
        let outcome = make(authority, (issuer, record), transition).await;
        match outcome {
            Ok(Some(issuer)) => {
                self.waiting = Waiting::nothing();
                self.trouble.clear();
                self.listed = None;
                tracing::info!(
                    reason = news.reason,
                    text = news.text,
                    "rotation of the root"
                );
                self.tell(authority, news).await;
                Some(issuer)
            }
            // Somebody was faster; what they stored is loaded next.
            Ok(None) => None,
            Err(StepError::Source(SourceError::Pending(what))) => {
                self.waiting = Waiting::because(what);
                None
            }
            Err(error) => {
                self.trouble_is(authority, error.to_string()).await;
                None
            }
        }
    }

    fn wait(&mut self, phase: Phase, waiting: Waiting) {
        let essence = |waiting: &Waiting| (waiting.text.clone(), waiting.names.len());
        if essence(&self.waiting) != essence(&waiting) && !waiting.text.is_empty() {
            let first = waiting.names.iter().take(LOGGED).cloned();
            tracing::info!(
                phase = phase.name(),
                waiting_for = waiting.text,
                workloads = waiting.names.len(),
                first = first.collect::<Vec<_>>().join(", "),
                "the rotation of the root waits"
            );
        }
        self.waiting = waiting;
    }

    async fn trouble_is(&mut self, authority: &Authority, trouble: String) {
        if self.trouble != trouble {
            tracing::warn!(trouble, "the rotation of the root does not go on");
            self.trouble.clone_from(&trouble);
        }
        self.waiting = Waiting::because("a step that failed; it is tried again");
        let news = News {
            reason: "RotationFailed",
            text: trouble,
            tone: Tone::Warning,
        };
        self.tell(authority, news).await;
    }

    /// Listens to who trusts the next root while that matters, and passes it on.
    async fn listen(&mut self, authority: &Authority, record: &Record) {
        let matters = record.phase == Phase::Distributed;
        let target = record.target().filter(|_| matters);
        authority.evidence.listen(target);
        let due = self.shared.is_none_or(|shared| shared.elapsed() >= SHARE);
        if !matters || !due {
            return;
        }
        let unshared = authority.evidence.take_unshared();
        if unshared.is_empty() {
            return;
        }
        self.shared = Some(Instant::now());
        if let Err(error) = authority.surroundings.share(&unshared).await {
            authority.evidence.give_back(unshared);
            self.complain(error.to_string());
        }
    }

    /// Who has to be thought of, as far as the phase asks for it.
    async fn holders(&mut self, authority: &Authority, record: &Record) -> Holders {
        let now = unix_seconds(authority.now());
        let lasted = Duration::from_secs(now.saturating_sub(record.since));
        let interval = match record.phase {
            Phase::Distributed => (lasted / 20).clamp(LIST, LIST_AT_REST),
            Phase::Retired => LIST_AT_REST,
            Phase::Stable | Phase::Prepared | Phase::Active => {
                return Holders::Unknown(String::new());
            }
        };
        let fresh = self.listed.as_ref().is_some_and(|(at, listed)| {
            let interval = listed.as_ref().map_or(LIST_AGAIN, |_pods| interval);
            at.elapsed() < interval
        });
        if !fresh {
            let pods = authority.surroundings.pods().await;
            let pods = pods.map_err(|error| error.to_string());
            self.listed = Some((Instant::now(), pods));
        }
        match &self.listed {
            Some((_, Ok(Some(pods)))) => pods.holders(record, &authority.evidence, lasted),
            Some((_, Err(error))) => Holders::Unknown(error.clone()),
            Some((_, Ok(None))) | None => self.identities(authority, (record, now), lasted),
        }
    }

    /// Without pods: those who asked for certificates while both roots were there.
    fn identities(
        &self,
        authority: &Authority,
        (record, now): (&Record, u64),
        lasted: Duration,
    ) -> Holders {
        if record.phase == Phase::Retired {
            return Holders::Unknown(
                "the end of the bridge: nobody knows who holds the old root alone".to_owned(),
            );
        }
        let ttl = authority.moment().1.ttl;
        // Whoever holds one that was given for longer may not have asked since.
        let longer = record.longer_leaves_end.is_some_and(|end| end >= now);
        if longer || lasted.min(self.began.elapsed()) < ttl {
            return Holders::Unknown(
                "every workload to ask for a certificate once more".to_owned(),
            );
        }
        Holders::Known {
            untrusting: authority.evidence.untrusting(),
            snapshots: Vec::new(),
        }
    }
}
