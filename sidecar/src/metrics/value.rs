//! Numbers that many tasks write at once and a scrape reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// The upper bounds of a histogram's buckets, ascending.
pub(super) type Bounds = Arc<[f64]>;

/// The value of one series.
pub(super) trait Value: Send + Sync + 'static {
    /// Nothing yet. `bounds` are those of histograms.
    fn new(bounds: &Bounds) -> Self;
    /// Reports every line of the series.
    fn lines(&self, line: impl FnMut(Line<'_>));
}

/// A line of a series in the exposition format.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Line<'a> {
    /// The number itself.
    Whole(i64),
    /// A bucket: how many observations are at most its bound. The last one has none.
    Bucket(&'a Option<f64>, u64),
    /// The sum of the observations.
    Sum(f64),
    /// Their number.
    Count(u64),
}

/// Events since the start.
#[derive(Debug)]
pub(super) struct Counter(AtomicU64);

/// A number that goes up and down.
#[derive(Debug)]
pub(super) struct Gauge(AtomicI64);

/// Observations by size. Their number is the sum of the buckets, so a scrape never shows one without the other.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: Bounds,
    /// One more than bounds: the last is for what is above them all.
    buckets: Box<[AtomicU64]>,
    /// The bits of a float.
    sum: AtomicU64,
}

// === impl Counter ===

impl Counter {
    pub(super) fn inc(&self) {
        self.add(1);
    }

    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Value for Counter {
    fn new(_: &Bounds) -> Self {
        Self(AtomicU64::new(0))
    }

    fn lines(&self, mut line: impl FnMut(Line<'_>)) {
        line(Line::Whole(i64::try_from(self.get()).unwrap_or(i64::MAX)));
    }
}

// === impl Gauge ===

impl Gauge {
    pub(super) fn add(&self, change: i64) {
        self.0.fetch_add(change, Relaxed);
    }

    pub(super) fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }
}

impl Value for Gauge {
    fn new(_: &Bounds) -> Self {
        Self(AtomicI64::new(0))
    }

    fn lines(&self, mut line: impl FnMut(Line<'_>)) {
        line(Line::Whole(self.0.load(Relaxed)));
    }
}

// === impl Histogram ===

impl Histogram {
    pub(super) fn observe(&self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[bucket].fetch_add(1, Relaxed);
        let mut sum = self.sum.load(Relaxed);
        while let Err(newer) = self.sum.compare_exchange_weak(
            sum,
            (f64::from_bits(sum) + value).to_bits(),
            Relaxed,
            Relaxed,
        ) {
            sum = newer;
        }
    }
}

impl Value for Histogram {
    fn new(bounds: &Bounds) -> Self {
        Self {
            bounds: Arc::clone(bounds),
            buckets: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    fn lines(&self, mut line: impl FnMut(Line<'_>)) {
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        let mut count = 0;
        for (bound, bucket) in bounds.zip(&self.buckets) {
            count += bucket.load(Relaxed);
            line(Line::Bucket(&bound, count));
        }
        line(Line::Sum(f64::from_bits(self.sum.load(Relaxed))));
        line(Line::Count(count));
    }
}

#[cfg(test)]
mod tests {
    use super::{Bounds, Histogram, Line, Value};

    #[test]
    fn a_bound_belongs_to_its_bucket_and_buckets_add_up() {
        let bounds: Bounds = [1.0, 10.0].into();
        let histogram = Histogram::new(&bounds);
        for value in [0.5, 1.0, 1.5, 11.0] {
            histogram.observe(value);
        }
        let mut lines = Vec::new();
        histogram.lines(|line| lines.push(format!("{line:?}")));
        let expected = [
            Line::Bucket(&Some(1.0), 2),
            Line::Bucket(&Some(10.0), 3),
            Line::Bucket(&None, 4),
            Line::Sum(14.0),
            Line::Count(4),
        ];
        assert_eq!(lines, expected.map(|line| format!("{line:?}")));
    }
}
