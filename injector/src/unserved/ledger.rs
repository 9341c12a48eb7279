//! The pods that lack their sidecars, and what is to be done about them. A state machine: no client, no clock, no task.
//!
//! Pods that have their sidecars are remembered by a hash of their UID only, so that a replacement is told from a pod that
//! was there before.

mod counts;
mod messages;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use tokio::time::Instant;

use super::{
    judgement::{Look, Reason},
    owner::Owner,
};
use crate::pace::Pace;

pub(super) use counts::Counts;
pub(super) use messages::{Candidate, Key, News, Next, Outcome};

/// See the module.
#[derive(Debug)]
pub(super) struct Ledger {
    pods: BTreeMap<Key, Entry>,
    /// By the controller's UID.
    owners: HashMap<Box<str>, Owner>,
    served: HashSet<u64>,
    listing: Option<Listing>,
    /// Whether a list was complete: a pod that comes after that is a new one.
    listed: bool,
    untold: BTreeSet<Turn>,
    in_vain: VecDeque<News>,
    /// `None`: nothing is repaired.
    pace: Option<Pace>,
    /// Evictions so far.
    turns: u64,
    counts: Counts,
}

/// What a list that is being read held so far.
#[derive(Debug, Default)]
struct Listing {
    lacking: BTreeSet<Key>,
    served: HashSet<u64>,
}

/// When a pod is told of: the first pods of all owners before the second ones, so that no owner waits for the others' pods.
type Turn = (usize, Key);

#[derive(Debug)]
struct Entry {
    uid: Box<str>,
    reason: Reason,
    owner: Option<Box<str>>,
    /// How many pods of its owner lacked their sidecars before it.
    place: usize,
    /// Whether it may be evicted at all.
    repairable: bool,
    told: bool,
    leaving: bool,
}

impl Ledger {
    /// Knows nothing yet. Without a pace nothing is repaired.
    pub(super) fn new(pace: Option<Pace>) -> Self {
        Self {
            pods: BTreeMap::new(),
            owners: HashMap::new(),
            served: HashSet::new(),
            listing: None,
            listed: false,
            untold: BTreeSet::new(),
            in_vain: VecDeque::new(),
            pace,
            turns: 0,
            counts: Counts::default(),
        }
    }

    /// A list of all pods begins.
    pub(super) fn list_begins(&mut self) {
        self.listing = Some(Listing::default());
    }

    /// The list is complete: what was not in it is gone.
    pub(super) fn list_ends(&mut self) {
        let Some(listing) = self.listing.take() else {
            return;
        };
        self.listed = true;
        self.served = listing.served;
        let gone = self.pods.keys();
        let gone = gone.filter(|key| !listing.lacking.contains(key));
        for key in gone.cloned().collect::<Vec<_>>() {
            self.forget(&key);
        }
    }

    /// A pod looks like this now.
    pub(super) fn see(&mut self, key: Key, uid: &str, look: Look, now: Instant) {
        match look {
            Look::Nothing => self.gone(&key, uid),
            Look::Served { controller } => {
                self.forget(&key);
                self.is_served(uid, controller.as_deref(), now);
            }
            Look::Lacking(lacking) => {
                if let Some(listing) = &mut self.listing {
                    listing.lacking.insert(key.clone());
                }
                let repairable = self.pace.is_some() && lacking.can_be_repaired();
                self.lacks(
                    key,
                    uid,
                    (lacking.reason, repairable),
                    now,
                    lacking.controller,
                );
            }
        }
    }

    /// A pod is no more, or of no interest any more.
    pub(super) fn gone(&mut self, key: &Key, uid: &str) {
        self.served.remove(&hash(uid));
        self.forget(key);
    }

    fn is_served(&mut self, uid: &str, controller: Option<&str>, now: Instant) {
        let hash = hash(uid);
        if let Some(listing) = &mut self.listing {
            listing.served.insert(hash);
        }
        if self.served.insert(hash)
            && let Some(owner) = controller.and_then(|uid| self.owners.get_mut(uid))
        {
            owner.served(now);
        }
    }

    fn lacks(
        &mut self,
        key: Key,
        uid: &str,
        (reason, repairable): (Reason, bool),
        now: Instant,
        controller: Option<OwnerReference>,
    ) {
        if let Some(entry) = self.pods.get_mut(&key).filter(|entry| *entry.uid == *uid) {
            entry.repairable = repairable;
            if entry.reason != reason {
                self.counts.remove(&key.namespace, entry.reason.word());
                self.counts.add(&key.namespace, reason.word());
                entry.reason = reason;
                entry.told = false;
                self.untold.insert((entry.place, key.clone()));
            }
            self.sort(&key);
            return;
        }
        self.forget(&key);
        let owner = controller.map(|controller| self.joins(&key, controller, now));
        let (owner, place) = owner.unzip();
        let place = place.unwrap_or_default();
        self.counts.add(&key.namespace, reason.word());
        let entry = Entry {
            uid: uid.into(),
            reason,
            owner,
            place,
            repairable,
            told: false,
            leaving: false,
        };
        self.pods.insert(key.clone(), entry);
        self.untold.insert((place, key));
    }

    /// A new pod of this controller lacks its sidecar. Gives the controller's UID, and how many such pods it had before.
    fn joins(&mut self, key: &Key, controller: OwnerReference, now: Instant) -> (Box<str>, usize) {
        let uid: Box<str> = controller.uid.as_str().into();
        let owner = self
            .owners
            .entry(uid.clone())
            .or_insert_with(|| Owner::new(controller, key.namespace.clone()));
        if let Some(rest) = owner.lacking(now) {
            self.in_vain.push_back(in_vain(owner, rest));
        }
        let before = owner.pods.len();
        owner.pods.insert(key.name.clone());
        (uid, before)
    }

    /// Whether this pod may be evicted is as its entry says.
    fn sort(&mut self, key: &Key) {
        let Some(entry) = self.pods.get(key) else {
            return;
        };
        let owner = entry.owner.as_ref();
        let Some(owner) = owner.and_then(|uid| self.owners.get_mut(uid)) else {
            return;
        };
        if entry.repairable && entry.told && !entry.leaving {
            owner.ready.insert(key.name.clone());
        } else {
            owner.ready.remove(&key.name);
        }
    }

    fn forget(&mut self, key: &Key) {
        let Some(entry) = self.pods.remove(key) else {
            return;
        };
        self.untold.remove(&(entry.place, key.clone()));
        self.counts.remove(&key.namespace, entry.reason.word());
        let Some(uid) = entry.owner else {
            return;
        };
        if let Some(owner) = self.owners.get_mut(&uid) {
            owner.pods.remove(&key.name);
            owner.ready.remove(&key.name);
            if owner.is_new() && owner.pods.is_empty() {
                self.owners.remove(&uid);
            }
        }
    }

    /// The next thing to tell, once each.
    pub(super) fn next_news(&mut self) -> Option<News> {
        if let Some(news) = self.in_vain.pop_front() {
            return Some(news);
        }
        let (_, key) = self.untold.pop_first()?;
        self.pods.get_mut(&key)?.told = true;
        self.sort(&key);
        let entry = self.pods.get(&key)?;
        let owner = entry.owner.as_ref();
        let owner = owner.and_then(|uid| self.owners.get_mut(uid));
        let word = entry.reason.word();
        let owner = owner.and_then(|owner| owner.told.insert(word).then_some(&*owner));
        Some(News::Lacking {
            uid: entry.uid.clone(),
            reason: entry.reason.clone(),
            repaired: entry.repairable,
            owner: owner.map(|owner| owner.controller.clone()),
            pod: key,
        })
    }

    /// What to do next about repair. A pod is told of before it goes, and owners take turns. Nothing goes before all pods are
    /// known: those that are listed after the first one has gone would be taken for replacements.
    pub(super) fn next_repair(&mut self, now: Instant) -> Next {
        let pace = self.pace.as_ref().filter(|_| self.listed);
        let Some(due) = pace.map(Pace::next) else {
            return Next::Nothing;
        };
        let mut wake: Option<Instant> = None;
        let mut earliest = |at: Instant| wake = Some(wake.map_or(at, |wake| wake.min(at)));
        let mut turn = None;
        self.owners.retain(|_, owner| !owner.is_done(now));
        for (uid, owner) in &mut self.owners {
            if let Some(rest) = owner.expired(now) {
                self.in_vain.push_back(in_vain(owner, rest));
            }
            owner.trial_ends().into_iter().for_each(&mut earliest);
            if owner.ready.is_empty() {
                continue;
            }
            match owner.may_go(now) {
                Err(None) => {}
                Err(Some(until)) => earliest(until),
                Ok(()) if due > now => earliest(due),
                Ok(()) => {
                    let its = (owner.turn, uid);
                    turn = Some(turn.map_or(its, |other| its.min(other)));
                }
            }
        }
        let turn = turn.map(|(_, uid)| uid.clone());
        match turn.and_then(|owner| self.begin(owner, now)) {
            Some(candidate) => Next::Evict(candidate),
            None => wake.map_or(Next::Nothing, Next::At),
        }
    }

    /// A pod of this owner goes.
    fn begin(&mut self, uid: Box<str>, now: Instant) -> Option<Candidate> {
        let owner = self.owners.get_mut(&uid)?;
        let pod = Key {
            namespace: owner.namespace.clone(),
            name: owner.ready.pop_first()?,
        };
        let entry = self.pods.get_mut(&pod)?;
        entry.leaving = true;
        self.turns += 1;
        owner.turn = self.turns;
        owner.begin(now);
        self.pace.as_mut()?.take(now);
        Some(Candidate {
            uid: entry.uid.clone(),
            owner: uid,
            pod,
        })
    }

    /// What became of it.
    pub(super) fn evicted(&mut self, candidate: &Candidate, outcome: Outcome, now: Instant) {
        let owner = self.owners.get_mut(&candidate.owner);
        match (outcome, owner) {
            (Outcome::Evicted, Some(owner)) => owner.evicted(),
            (Outcome::Gone, Some(owner)) => owner.gone(),
            (Outcome::Blocked | Outcome::Failed, Some(owner)) => owner.refused(now),
            (_, None) => {}
        }
        if matches!(outcome, Outcome::Blocked | Outcome::Failed)
            && let Some(entry) = self.pods.get_mut(&candidate.pod)
            && entry.uid == candidate.uid
        {
            entry.leaving = false;
            self.sort(&candidate.pod);
        }
    }

    /// How many pods lack their sidecars, and why.
    pub(super) fn counts(&mut self) -> &mut Counts {
        &mut self.counts
    }
}

fn in_vain(owner: &Owner, rest: Duration) -> News {
    News::InVain {
        namespace: owner.namespace.clone(),
        owner: owner.controller.clone(),
        rest,
    }
}

fn hash(uid: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
