//! What became of each resource, for whoever gave it. Costs nothing where nobody wants to know.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::watch;

use crate::manifest::Revision;

/// Where every resource stands, by kind and name.
pub(crate) type States = BTreeMap<(&'static str, String), State>;

/// Where one version of a resource stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// Empty if it has none.
    pub(crate) uid: String,
    /// 0 if it has none.
    pub(crate) generation: i64,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is being worked on.
    Pending,
    /// It is in force.
    Loaded,
    /// It is not in force.
    Failed {
        reason: String,
        /// Whether an older version stays in force.
        older_in_force: bool,
    },
}

/// Where resources stand, written by those who keep them. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Ledger(Option<Arc<watch::Sender<States>>>);

impl State {
    pub(crate) fn new(revision: &Revision, outcome: Outcome) -> Self {
        Self {
            uid: revision.uid().to_owned(),
            generation: revision.generation(),
            outcome,
        }
    }
}

impl Ledger {
    /// One that is kept.
    pub(crate) fn kept() -> Self {
        Self(Some(Arc::default()))
    }

    /// One that nobody reads.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Puts what `now` says in the place of what was said about the kind.
    pub(crate) fn replace<I>(&self, kind: &'static str, now: impl FnOnce() -> I)
    where
        I: IntoIterator<Item = (String, State)>,
    {
        let Some(states) = &self.0 else {
            return;
        };
        let now: BTreeMap<_, _> = now()
            .into_iter()
            .map(|(name, state)| ((kind, name), state))
            .collect();
        states.send_if_modified(|states| {
            let before = states.iter().filter(|((of, _), _)| *of == kind);
            if before.eq(&now) {
                return false;
            }
            states.retain(|(of, _), _| *of != kind);
            states.extend(now);
            true
        });
    }

    /// What is said, as it changes; `None` when nobody says anything.
    pub(crate) fn subscribe(&self) -> Option<watch::Receiver<States>> {
        Some(self.0.as_ref()?.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::{Ledger, Outcome, State};

    fn state(generation: i64, outcome: Outcome) -> State {
        State {
            uid: "u".to_owned(),
            generation,
            outcome,
        }
    }

    #[test]
    fn a_kind_is_replaced_and_others_stay() {
        let ledger = Ledger::kept();
        let mut states = ledger.subscribe().unwrap();
        let one = |generation| vec![("one".to_owned(), state(generation, Outcome::Loaded))];
        ledger.replace("Component", || one(1));
        ledger.replace("Resiliency", || one(1));
        ledger.replace("Component", Vec::new);
        let left: Vec<_> = states.borrow_and_update().keys().cloned().collect();
        assert_eq!(left, [("Resiliency", "one".to_owned())]);
    }

    #[test]
    fn saying_the_same_again_tells_nobody() {
        let ledger = Ledger::kept();
        let mut states = ledger.subscribe().unwrap();
        let one = |generation| vec![("one".to_owned(), state(generation, Outcome::Pending))];
        ledger.replace("Component", || one(1));
        states.mark_unchanged();
        ledger.replace("Component", || one(1));
        assert!(!states.has_changed().unwrap());
        ledger.replace("Component", || one(2));
        assert!(
            states.has_changed().unwrap(),
            "a version is told from another"
        );
    }

    #[test]
    fn nothing_is_computed_where_nobody_reads() {
        Ledger::none().replace("Component", || -> Vec<_> { unreachable!("nobody asks") });
    }
}
