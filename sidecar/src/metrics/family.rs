//! The series of one family, and their bound.
//!
//! Callers choose paths, app ids and actor types, so any family could grow without end. Each has a limit: what is new
//! beyond it is counted under the value [`OTHER`] of the labels that callers choose, so that sums stay right.

use std::borrow::{Borrow, Cow};
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::RwLock;

use super::definition::{Definition, OTHER, Values};
use super::labels::{is_presentable, with_key};
use super::rules::Rules;
use super::value::{Bounds, Value};

/// Series beyond the limit that keep the values of their other labels (methods, statuses).
const SPARE: usize = 64;

/// One series: its labels and its value.
#[derive(Debug)]
pub(super) struct Series<V> {
    key: Arc<str>,
    value: V,
}

/// A series that is found by its labels.
#[derive(Debug)]
struct ByLabels<V>(Arc<Series<V>>);

/// The series of one family.
#[derive(Debug)]
pub(super) struct Family<V> {
    definition: &'static Definition,
    rules: Rules,
    bounds: Bounds,
    series: RwLock<Known<V>>,
    overflowed: AtomicU64,
}

#[derive(Debug)]
struct Known<V> {
    by_labels: HashSet<ByLabels<V>>,
    /// In the order in which they came, for scrapes that go through them piece by piece.
    in_order: Vec<Arc<Series<V>>>,
}

// === impl Series ===

impl<V> Series<V> {
    /// The values of its labels.
    pub(super) fn key(&self) -> &str {
        &self.key
    }
}

impl<V> std::ops::Deref for Series<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.value
    }
}

// === impl ByLabels ===

impl<V> Borrow<str> for ByLabels<V> {
    fn borrow(&self) -> &str {
        &self.0.key
    }
}

impl<V> Hash for ByLabels<V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.hash(state);
    }
}

impl<V> PartialEq for ByLabels<V> {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl<V> Eq for ByLabels<V> {}

// === impl Known ===

impl<V: Value> Known<V> {
    fn add(&mut self, key: &str, bounds: &Bounds) -> Arc<Series<V>> {
        let series = Arc::new(Series {
            key: key.into(),
            value: V::new(bounds),
        });
        self.by_labels.insert(ByLabels(Arc::clone(&series)));
        self.in_order.push(Arc::clone(&series));
        series
    }
}

// === impl Family ===

impl<V: Value> Family<V> {
    pub(super) fn new(definition: &'static Definition, rules: Rules, bounds: Bounds) -> Self {
        Self {
            definition,
            rules,
            bounds,
            series: RwLock::new(Known {
                by_labels: HashSet::new(),
                in_order: Vec::new(),
            }),
            overflowed: AtomicU64::new(0),
        }
    }

    pub(super) fn definition(&self) -> &'static Definition {
        self.definition
    }

    /// Whether it was made with these rules and bounds.
    pub(super) fn was_made_with(&self, rules: &Rules, bounds: &Bounds) -> bool {
        self.rules == *rules && self.bounds == *bounds
    }

    /// The app id that its series show.
    pub(super) fn app_id<'a>(&self, app_id: &'a str) -> Cow<'a, str> {
        self.rules.app_id(app_id)
    }

    /// How often a series beyond the limit was asked for.
    pub(super) fn overflowed(&self) -> u64 {
        self.overflowed.load(Relaxed)
    }

    /// The series at `index` in the order in which they came.
    pub(super) fn at(&self, index: usize) -> Option<Arc<Series<V>>> {
        self.series.read().in_order.get(index).cloned()
    }

    /// Writes to the series of `labels`, of which there are as many as the family has.
    pub(super) fn record(&self, labels: &[&str], write: impl FnOnce(&V)) {
        if self.rules.is_empty() {
            let write = &mut Some(write);
            let known = with_key(labels, |key| {
                let series = self.series.read();
                let known = series.by_labels.get(key);
                known.map(|known| write.take().map(|write| write(&known.0)))
            });
            if known.is_some() {
                return;
            }
            if let Some(write) = write.take() {
                write(&self.resolve(labels));
            }
            return;
        }
        write(&self.resolve(labels));
    }

    /// The series of `labels`, made if it is new, or the one that counts for it.
    pub(super) fn resolve(&self, labels: &[&str]) -> Arc<Series<V>> {
        debug_assert_eq!(
            labels.len(),
            self.definition.labels.len(),
            "{}",
            self.definition.name
        );
        if self.rules.is_empty() {
            return self.resolve_ruled(labels);
        }
        let ruled = self.rules.apply(labels);
        let labels: Vec<&str> = ruled.iter().map(AsRef::as_ref).collect();
        self.resolve_ruled(&labels)
    }

    fn resolve_ruled(&self, labels: &[&str]) -> Arc<Series<V>> {
        if labels.iter().all(|value| is_presentable(value))
            && let Some(series) = self.get_or_add(labels, self.definition.limit)
        {
            return series;
        }
        self.note_overflow();
        let others: Vec<&str> = labels
            .iter()
            .zip(self.definition.labels)
            .map(|(value, label)| match label.values {
                Values::Few if is_presentable(value) => *value,
                _ => OTHER,
            })
            .collect();
        let spare = self.get_or_add(&others, self.definition.limit + SPARE);
        spare.unwrap_or_else(|| {
            let all = vec![OTHER; labels.len()];
            self.get_or_add(&all, usize::MAX)
                .expect("there is no limit for the last resort")
        })
    }

    fn get_or_add(&self, labels: &[&str], limit: usize) -> Option<Arc<Series<V>>> {
        with_key(labels, |key| {
            if let Some(known) = self.series.read().by_labels.get(key) {
                return Some(Arc::clone(&known.0));
            }
            let mut series = self.series.write();
            if let Some(known) = series.by_labels.get(key) {
                return Some(Arc::clone(&known.0));
            }
            (series.in_order.len() < limit).then(|| series.add(key, &self.bounds))
        })
    }

    fn note_overflow(&self) {
        if self.overflowed.fetch_add(1, Relaxed) == 0 {
            tracing::warn!(
                metric = format!("dapr_{}", self.definition.name),
                limit = self.definition.limit,
                "a metric has as many series as it may have, or a label that cannot be shown: what is new is \
                 counted as {OTHER:?}; see spec.metrics.http in the Configuration for fewer paths"
            );
        }
    }
}

#[cfg(test)]
mod tests;
