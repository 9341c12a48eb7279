//! How many pods lack their sidecars, by namespace and reason, and which of these numbers changed.

use std::collections::{BTreeMap, BTreeSet};

type Series = (Box<str>, &'static str);

/// See the module.
#[derive(Debug, Default)]
pub(in crate::unserved) struct Counts {
    numbers: BTreeMap<Series, i64>,
    changed: BTreeSet<Series>,
}

impl Counts {
    pub(super) fn add(&mut self, namespace: &str, reason: &'static str) {
        let series = (Box::from(namespace), reason);
        *self.numbers.entry(series.clone()).or_default() += 1;
        self.changed.insert(series);
    }

    pub(super) fn remove(&mut self, namespace: &str, reason: &'static str) {
        let series = (Box::from(namespace), reason);
        if let Some(number) = self.numbers.get_mut(&series) {
            *number -= 1;
            if *number == 0 {
                self.numbers.remove(&series);
            }
        }
        self.changed.insert(series);
    }

    /// What changed since this was asked last: namespace, reason, and how many there are now.
    pub(in crate::unserved) fn take_changes(&mut self) -> Vec<(Box<str>, &'static str, i64)> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        changed
            .map(|series| {
                let number = self.numbers.get(&series).copied().unwrap_or_default();
                (series.0, series.1, number)
            })
            .collect()
    }
}
