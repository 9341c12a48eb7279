//! Series of several families that are written together, found by one look-up.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::labels::with_key;

/// What the labels of a request resolve to. Bounded: what is not kept is resolved each time.
#[derive(Debug)]
pub(super) struct Group<S> {
    known: RwLock<HashMap<Box<str>, Arc<S>>>,
    limit: usize,
}

impl<S> Group<S> {
    /// Keeps at most `limit`.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            known: RwLock::default(),
            limit,
        }
    }

    /// What `labels` resolve to, by `resolve` if it is not known.
    pub(super) fn get(&self, labels: &[&str], resolve: impl FnOnce() -> S) -> Arc<S> {
        with_key(labels, |key| {
            if let Some(known) = self.known.read().get(key) {
                return Arc::clone(known);
            }
            let resolved = Arc::new(resolve());
            // A label of any length may be here, before rules or limits have seen it.
            let longest = labels.len() * (super::labels::LONGEST + 1);
            let mut known = self.known.write();
            if known.len() < self.limit && key.len() <= longest {
                known.insert(key.into(), Arc::clone(&resolved));
            }
            resolved
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Group;

    #[test]
    fn resolves_once_until_it_is_full() {
        let group = Group::new(1);
        let mut resolved = 0;
        for labels in [["a"], ["a"], ["b"], ["b"]] {
            group.get(&labels, || resolved += 1);
        }
        assert_eq!(resolved, 3);
    }

    #[test]
    fn a_label_of_any_length_is_not_kept() {
        let group = Group::new(8);
        let long = "x".repeat(10_000);
        let mut resolved = 0;
        group.get(&[&long], || resolved += 1);
        group.get(&[&long], || resolved += 1);
        assert_eq!(resolved, 2);
    }
}
