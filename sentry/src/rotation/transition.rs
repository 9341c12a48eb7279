//! The documents of each step, made from those before it.

use std::time::{Duration, SystemTime};

use super::{
    Phase, Record, RotationDocuments, bridge,
    decision::AuthorityFacts,
    roots::{Root, organization, root_of, roots},
};
use crate::{
    bundle::{Bundle, Documents, parse, unix_seconds},
    source::{AuthoritySource, NewAuthority, Order, SELF_SIGNED},
};
use trilby_identity::pem;

/// Why a step cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransitionError {
    #[error("the prepared authority is gone")]
    NothingPrepared,
    #[error("the prepared authority has no usable root")]
    NoRoot,
    #[error("the source made the same root again")]
    SameRoot,
}

/// What is known about the authority in use.
pub(crate) fn facts(
    documents: &Documents,
    record: &Record,
    (source, order): (&dyn AuthoritySource, Order<'_>),
) -> AuthorityFacts {
    let all = roots(&documents.ca);
    let chain = pem::certificates(&documents.issuer).unwrap_or_default();
    let root = root_of(&all, &chain);
    let self_made = root.is_some_and(|root| is_self_made(root, &chain, order));
    let made_by = record
        .source
        .clone()
        .or_else(|| self_made.then(|| SELF_SIGNED.to_owned()));
    let outdated = match made_by.as_deref() {
        Some(name) if name != source.name() => {
            Some(format!("authorities are to come from {}", source.name()))
        }
        Some(_) => source.outdated(documents),
        None => None,
    };
    let old_roots_ended = {
        let mut old = all.iter().filter(|root| is_in(root, &record.old_roots));
        !record.old_roots.is_empty() && old.all(|root| root.not_after <= order.now)
    };
    AuthorityFacts {
        root_due: root.map_or(order.now, due),
        ours: made_by.is_some(),
        outdated,
        old_roots_ended,
        fits_record: fits(documents, record, &all),
    }
}

/// By the names that sentry, upstream's too, gives to what it makes.
fn is_self_made(
    root: &Root,
    chain: &[rustls_pki_types::CertificateDer<'_>],
    order: Order<'_>,
) -> bool {
    let issuer = chain.first().and_then(|issuer| parse(issuer).ok());
    root.organization == order.trust_domain.as_str()
        && issuer.is_some_and(|issuer| organization(&issuer) == order.sentry.as_str())
}

fn due(root: &Root) -> SystemTime {
    let life = root.not_after.duration_since(root.not_before);
    root.not_before + life.unwrap_or_default() / 3 * 2
}

fn is_in(root: &Root, fingerprints: &[String]) -> bool {
    fingerprints.contains(&root.fingerprint)
}

/// Whether the documents are still those of the rotation: somebody may have put others in their place.
fn fits(documents: &Documents, record: &Record, all: &[Root]) -> bool {
    let has = |fingerprints: &[String]| all.iter().any(|root| is_in(root, fingerprints));
    let prepared = documents.rotation.next.is_some();
    match record.phase {
        Phase::Stable => true,
        Phase::Prepared => prepared && has(&record.old_roots),
        Phase::Distributed => prepared && has(&record.old_roots) && has(&record.new_roots),
        Phase::Active | Phase::Retired => has(&record.new_roots),
    }
}

/// A new authority beside the one in use, with a bridge if there can be one. `proved` says whether documents are an
/// authority that peers accept.
pub(crate) fn prepared(
    documents: &Documents,
    made: NewAuthority,
    (mut record, order): (Record, Order<'_>),
    proved: impl Fn(Documents) -> Result<(), String>,
) -> Result<Documents, TransitionError> {
    let old = roots(&documents.ca);
    let new = roots(&made.anchors_pem);
    let chain = pem::certificates(&made.issuer_chain_pem).unwrap_or_default();
    let target = root_of(&new, &chain).ok_or(TransitionError::NoRoot)?;
    if is_in(target, &fingerprints(&old)) {
        return Err(TransitionError::SameRoot);
    }
    let mut next = made.clone();
    let bridged =
        bridge::build(documents, &made, (order.now, order.clock_skew)).and_then(|bridged| {
            // Whoever knows only the old roots has to accept what the new issuer signs.
            proved(Documents {
                ca: documents.ca.clone(),
                issuer: bridged.issuer_chain_pem.clone(),
                key: made.issuer_key_pem.clone(),
                root_key: None,
                tokens: None,
                rotation: RotationDocuments::default(),
            })?;
            Ok(bridged)
        });
    (record.bridge, record.no_bridge) = match bridged {
        Ok(bridged) => {
            next.issuer_chain_pem = bridged.issuer_chain_pem;
            (Some(bridged.bridge), None)
        }
        Err(why) => (None, Some(why)),
    };
    let others = new.iter().filter(|root| **root != *target);
    record.new_roots = std::iter::once(target)
        .chain(others)
        .map(|root| root.fingerprint.clone())
        .collect();
    record.old_roots = fingerprints(&old);
    record
        .old_roots
        .retain(|root| !record.new_roots.contains(root));
    record.leaves_end = None;
    enter(&mut record, Phase::Prepared, order.now);
    Ok(with(documents.clone(), &record, Some(next)))
}

fn fingerprints(roots: &[Root]) -> Vec<String> {
    roots.iter().map(|root| root.fingerprint.clone()).collect()
}

/// Both roots are trusted.
pub(crate) fn distributed(
    documents: &Documents,
    mut record: Record,
    now: SystemTime,
) -> Result<Documents, TransitionError> {
    let next = documents.rotation.next.clone();
    let next = next.ok_or(TransitionError::NothingPrepared)?;
    let mut both = roots(&documents.ca);
    for root in roots(&next.anchors_pem) {
        if !is_in(&root, &fingerprints(&both)) {
            both.push(root);
        }
    }
    let ca = encode(both.iter());
    enter(&mut record, Phase::Distributed, now);
    let documents = Documents {
        ca,
        ..documents.clone()
    };
    Ok(with(documents, &record, Some(next)))
}

/// The new issuer signs; both roots are trusted.
pub(crate) fn activated(
    documents: &Documents,
    mut record: Record,
    (now, workload_ttl): (SystemTime, Duration),
    leaves_end_here: u64,
) -> Result<Documents, TransitionError> {
    let next = documents.rotation.next.clone();
    let next = next.ok_or(TransitionError::NothingPrepared)?;
    let issuer_end = Bundle::read(documents, now).map_or(now, |bundle| bundle.not_after);
    let leaves_end = record.last_leaf_end(workload_ttl, now);
    let leaves_end = leaves_end.min(unix_seconds(issuer_end));
    record.leaves_end = Some(leaves_end.max(leaves_end_here));
    record.source = record.next_source.take();
    enter(&mut record, Phase::Active, now);
    let documents = Documents {
        ca: documents.ca.clone(),
        issuer: next.issuer_chain_pem,
        key: next.issuer_key_pem,
        root_key: next.root_key_pem,
        tokens: documents.tokens.clone(),
        rotation: RotationDocuments::default(),
    };
    Ok(with(documents, &record, None))
}

/// The old roots are trusted until then, in seconds since 1970.
pub(crate) fn prolonged(documents: &Documents, mut record: Record, until: u64) -> Documents {
    record.leaves_end = Some(until);
    with(documents.clone(), &record, None)
}

/// The old roots are gone. The bridge stays, if there is one.
pub(crate) fn retired(documents: &Documents, mut record: Record, now: SystemTime) -> Documents {
    let all = roots(&documents.ca);
    let kept = all.iter().filter(|root| !is_in(root, &record.old_roots));
    let ca = encode(kept);
    if record.bridge.is_some() {
        record.leaves_end = None;
        enter(&mut record, Phase::Retired, now);
    } else {
        rest(&mut record, now);
    }
    let documents = Documents {
        ca,
        ..documents.clone()
    };
    with(documents, &record, None)
}

/// The bridge is gone too.
pub(crate) fn unbridged(documents: &Documents, mut record: Record, now: SystemTime) -> Documents {
    let mut documents = documents.clone();
    if let Some(bridge) = record.bridge.take()
        && let Ok((issuer, _above)) = bridge::split(&documents.issuer, &bridge)
    {
        documents.issuer = issuer;
    }
    rest(&mut record, now);
    with(documents, &record, None)
}

/// The rotation is forgotten; what is trusted stays trusted.
pub(crate) fn abandoned(documents: &Documents, mut record: Record, now: SystemTime) -> Documents {
    "the authority was replaced by hand during a rotation".clone_into(&mut record.reason);
    record.source = None;
    record.bridge = None;
    rest(&mut record, now);
    with(documents.clone(), &record, None)
}

/// A renewed issuer chain with the bridge of the chain before, as long as there is one.
pub(crate) fn keep_bridge(renewed: &[u8], documents: &Documents) -> Option<Vec<u8>> {
    let record = Record::read(documents.rotation.record.as_deref()).ok()?;
    let (_below, bridge) = bridge::split(&documents.issuer, record.bridge.as_ref()?).ok()?;
    (!bridge.is_empty()).then(|| [renewed, &bridge].concat())
}

fn rest(record: &mut Record, now: SystemTime) {
    record.old_roots.clear();
    record.new_roots.clear();
    record.no_bridge = None;
    record.next_source = None;
    record.leaves_end = None;
    enter(record, Phase::Stable, now);
}

fn enter(record: &mut Record, phase: Phase, now: SystemTime) {
    record.phase = phase;
    record.since = unix_seconds(now);
}

fn encode<'a>(roots: impl Iterator<Item = &'a Root>) -> Vec<u8> {
    let text: String = roots
        .map(|root| pem::encode("CERTIFICATE", &root.certificate))
        .collect();
    text.into_bytes()
}

fn with(documents: Documents, record: &Record, next: Option<NewAuthority>) -> Documents {
    Documents {
        rotation: RotationDocuments {
            record: Some(record.write()),
            next,
        },
        ..documents
    }
}

#[cfg(test)]
mod tests;
