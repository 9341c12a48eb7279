//! One step: made, proved, stored, told.

use std::sync::Arc;

use super::super::{Authority, AuthorityError};
use crate::{
    bundle::Documents,
    issuer::Issuer,
    rotation::{
        Record,
        decision::Transition,
        status::date,
        transition::{self, TransitionError},
    },
    source::SourceError,
    store::Replaced,
    surroundings::{News, Tone},
};

/// Why a step was not made.
#[derive(Debug, thiserror::Error)]
pub(in crate::authority) enum StepError {
    #[error("no next authority could be made: {0}")]
    Source(#[from] SourceError),
    #[error(transparent)]
    Transition(#[from] TransitionError),
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

/// Makes the documents of a step, proves and stores them. `None` if somebody else was faster.
pub(super) async fn make(
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
            transition::activated(old, record, (now, ttl), authority.leaves.of_all())?
        }
        Transition::Prolong { until } => transition::prolonged(old, record, until),
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
pub(super) fn news(transition: &Transition, record: &Record) -> News {
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
        Transition::Prolong { until } => (
            "RootProlonged",
            format!("the old root is trusted until {}", date(*until)),
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
