//! Drives the rotation of roots: looks, decides, stores one step, tells.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{Authority, AuthorityError, EXPIRY_NOTICE};
use crate::{
    bundle::{Documents, unix_seconds},
    issuer::Issuer,
    rotation::{
        Holders, Orders, Phase, Record, Step, decide,
        decision::{Situation, Transition, Waiting},
        holders::Pods,
        status::{Condition, ConditionKind, ConditionStatus, Status, date},
        transition::{self, TransitionError},
    },
    source::SourceError,
    store::Replaced,
    surroundings::{News, Tone},
};

/// How often pods are listed while a rotation waits for them, and while only a bridge does.
const LIST: Duration = Duration::from_secs(15);
const LIST_AT_REST: Duration = Duration::from_mins(10);

/// How often what was heard is shared, at most.
const SHARE: Duration = Duration::from_secs(5);

/// The most that is told later; beyond that the first is forgotten.
const UNTOLD: usize = 16;

/// How soon the same is told again.
const TELL_AGAIN: Duration = Duration::from_mins(10);

/// Why a step was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error("no next authority could be made: {0}")]
    Source(#[from] SourceError),
    #[error(transparent)]
    Transition(#[from] TransitionError),
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

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
        });
        match step {
            Step::Stay(waiting) => {
                self.waiting = waiting;
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
        let interval = match record.phase {
            Phase::Distributed => LIST,
            Phase::Retired => LIST_AT_REST,
            Phase::Stable | Phase::Prepared | Phase::Active => {
                return Holders::Unknown(String::new());
            }
        };
        let fresh = self
            .listed
            .as_ref()
            .is_some_and(|(at, _)| at.elapsed() < interval);
        if !fresh {
            let pods = authority.surroundings.pods().await;
            let pods = pods.map_err(|error| error.to_string());
            self.listed = Some((Instant::now(), pods));
        }
        let now = unix_seconds(authority.now());
        let lasted = Duration::from_secs(now.saturating_sub(record.since));
        match &self.listed {
            Some((_, Ok(Some(pods)))) => pods.holders(record, &authority.evidence, lasted),
            Some((_, Err(error))) => Holders::Unknown(error.clone()),
            Some((_, Ok(None))) | None => self.identities(authority, record, lasted),
        }
    }

    /// Without pods: those who asked for certificates while both roots were there.
    fn identities(&self, authority: &Authority, record: &Record, lasted: Duration) -> Holders {
        if record.phase == Phase::Retired {
            return Holders::Unknown(
                "the end of the bridge: nobody knows who holds the old root alone".to_owned(),
            );
        }
        let ttl = authority.moment().1.ttl;
        if lasted.min(self.began.elapsed()) < ttl {
            return Holders::Unknown(
                "every workload to ask for a certificate once more".to_owned(),
            );
        }
        Holders::Known {
            untrusting: authority.evidence.untrusting(),
            snapshots: Vec::new(),
        }
    }

    /// Publishes how everything fares, if that changed.
    pub(super) async fn report(&mut self, authority: &Authority, load_complaint: &str) {
        let stored = authority
            .issuer()
            .and_then(|issuer| issuer.documents().rotation.record.clone());
        let record = Record::read(stored.as_deref()).unwrap_or_default();
        let mut status = Status::new(&record, &self.waiting);
        if let Some(issuer) = authority.issuer() {
            status.issuer_ends = Some(date(unix_seconds(issuer.not_after())));
            status.root_ends = Some(date(unix_seconds(issuer.root_not_after())));
        }
        status.conditions = vec![
            Condition::new(ConditionKind::AuthorityUsable, load_complaint),
            Condition::new(ConditionKind::AuthorityLasting, ending(authority)),
            Condition::new(ConditionKind::RootRotation, self.trouble.as_str()),
            Condition::new(ConditionKind::ConfigurationUsable, configuration(authority)),
        ];
        let waiting = self.waiting.names.len();
        let metrics = &authority.metrics.rotation;
        metrics.stands(record.phase, record.since, waiting);
        metrics.usable(self.trouble.is_empty());
        self.tell_all(authority).await;
        self.tell_conditions(authority, &status.conditions).await;
        let yaml = status.yaml();
        if yaml == self.published {
            return;
        }
        match authority.surroundings.publish_status(&yaml).await {
            Ok(()) => self.published = yaml,
            Err(error) => self.complain(error.to_string()),
        }
    }

    async fn tell_conditions(&mut self, authority: &Authority, conditions: &[Condition]) {
        for condition in conditions {
            let before = self.conditions.insert(condition.kind, condition.status);
            let bad = condition.status == ConditionStatus::False;
            // Failed steps are told where they fail.
            if bad
                && before != Some(condition.status)
                && condition.kind != ConditionKind::RootRotation
            {
                let news = News {
                    reason: reason(condition.kind),
                    text: condition.message.clone(),
                    tone: Tone::Warning,
                };
                self.tell(authority, news).await;
            }
        }
    }

    /// Tells people, but not the same again and again.
    pub(super) async fn tell(&mut self, authority: &Authority, news: News) {
        let before = self.told.get(news.reason);
        if before.is_some_and(|(text, at)| *text == news.text && at.elapsed() < TELL_AGAIN) {
            return;
        }
        let text = news.text.clone();
        self.told.insert(news.reason, (text, Instant::now()));
        self.untold.push_back(news);
        if self.untold.len() > UNTOLD {
            self.untold.pop_front();
        }
        self.tell_all(authority).await;
    }

    /// Tells what there is to tell, up to the first that cannot be told now.
    async fn tell_all(&mut self, authority: &Authority) {
        while let Some(news) = self.untold.front() {
            if let Err(error) = authority.surroundings.tell(news).await {
                return self.complain(error.to_string());
            }
            self.untold.pop_front();
        }
    }

    fn complain(&mut self, complaint: String) {
        if self.complaint != complaint {
            tracing::warn!(complaint, "not everything that should be told could be");
            self.complaint = complaint;
        }
    }
}

/// Makes the documents of a step, proves and stores them. `None` if somebody else was faster.
async fn make(
    authority: &Authority,
    (issuer, record): (&Arc<Issuer>, Record),
    transition: Transition,
) -> Result<Option<Arc<Issuer>>, StepError> {
    let old = issuer.documents();
    let now = authority.now();
    let ends = matches!(transition, Transition::Activate | Transition::Abandon);
    let new = match transition {
        Transition::Prepare { reason, trigger } => {
            let record = Record {
                reason,
                trigger: trigger.or(record.trigger),
                ..record
            };
            prepare(authority, old, record).await?
        }
        Transition::Distribute => transition::distributed(old, record, now)?,
        Transition::Activate => {
            let ttl = authority.moment().1.ttl;
            transition::activated(old, record, (now, ttl))?
        }
        Transition::Retire => transition::retired(old, record, now),
        Transition::DropBridge => transition::unbridged(old, record, now),
        Transition::Abandon => transition::abandoned(old, record, now),
    };
    let issuer = authority.prove(new).map_err(AuthorityError::from)?;
    let replaced = authority.store.replace(old, issuer.documents()).await;
    if replaced.map_err(AuthorityError::from)? == Replaced::Overtaken {
        return Ok(None);
    }
    if ends && let Err(error) = authority.surroundings.forget_shared().await {
        // The next rotation has another root, about which nothing of this says anything.
        tracing::debug!(%error, "what replicas shared stays");
    }
    Ok(Some(authority.adopt(issuer)))
}

async fn prepare(
    authority: &Authority,
    old: &Documents,
    record: Record,
) -> Result<Documents, StepError> {
    let source = &authority.sources.configured;
    let made = source.make(authority.order()).await?;
    // It has to stand alone before it may stand beside the other one.
    let alone = authority.prove(made.clone().into_documents());
    alone.map_err(AuthorityError::from)?;
    let record = Record {
        next_source: Some(source.name().to_owned()),
        ..record
    };
    let proved = |documents| {
        let proved = authority.prove(documents);
        proved.map(|_issuer| ()).map_err(|error| error.to_string())
    };
    Ok(transition::prepared(
        old,
        made,
        (record, authority.order()),
        proved,
    )?)
}

/// What is told of a step.
fn news(transition: &Transition, record: &Record) -> News {
    let (reason, text) = match transition {
        Transition::Prepare { reason, .. } => (
            "RootPrepared",
            format!("another certificate authority is made and proved: {reason}"),
        ),
        Transition::Distribute => (
            "RootDistributed",
            "the next root is trusted beside the one in use".to_owned(),
        ),
        Transition::Activate => (
            "IssuerActive",
            "the issuer under the next root signs from now on".to_owned(),
        ),
        Transition::Retire => ("RootRetired", "the old root is trusted no more".to_owned()),
        Transition::DropBridge => (
            "BridgeDropped",
            "nobody needs the bridge from the old root any more".to_owned(),
        ),
        Transition::Abandon => (
            "RotationAbandoned",
            format!(
                "the stored authority is another one than the rotation was about ({})",
                record.phase.name()
            ),
        ),
    };
    let tone = match transition {
        Transition::Abandon => Tone::Warning,
        _ => Tone::Normal,
    };
    News { reason, text, tone }
}

/// What ends soon; empty if nothing does.
fn ending(authority: &Authority) -> String {
    let Some(issuer) = authority.issuer() else {
        return String::new();
    };
    let soon = |life: (SystemTime, SystemTime)| {
        let notice = life.1.duration_since(life.0).unwrap_or_default() / 3;
        authority.now() + EXPIRY_NOTICE.min(notice) > life.1
    };
    let begin = issuer.not_before();
    if soon((begin, issuer.not_after())) {
        let end = date(unix_seconds(issuer.not_after()));
        format!("the issuer certificate ends at {end}")
    } else if soon((begin, issuer.root_not_after())) {
        let end = date(unix_seconds(issuer.root_not_after()));
        format!("the root certificate ends at {end}")
    } else {
        String::new()
    }
}

fn configuration(authority: &Authority) -> &'static str {
    if authority.metrics.is_configuration_usable() {
        ""
    } else {
        "the Configuration cannot be read or used; the one before is in force"
    }
}

fn reason(kind: ConditionKind) -> &'static str {
    match kind {
        ConditionKind::AuthorityUsable => "AuthorityUnusable",
        ConditionKind::AuthorityLasting => "AuthorityEnding",
        ConditionKind::RootRotation => "RotationFailed",
        ConditionKind::ConfigurationUsable => "ConfigurationUnusable",
    }
}
