//! What the Configuration says of metrics (`spec.metric` and `spec.metrics`), checked.

use trilby_crds::{ConfigurationSpec, MetricSpec, MetricsRule};

use super::pattern::{InvalidPattern, Patterns};
use super::rules::{self, InvalidRule};
use super::value::Bounds;

/// Upstream's buckets of latencies, in milliseconds.
const LATENCY_BUCKETS: [f64; 34] = [
    1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 13.0, 16.0, 20.0, 25.0, 30.0, 40.0, 50.0, 65.0, 80.0,
    100.0, 130.0, 160.0, 200.0, 250.0, 300.0, 400.0, 500.0, 650.0, 800.0, 1000.0, 2000.0, 5000.0,
    10000.0, 20000.0, 50000.0, 100_000.0,
];

/// What is counted, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Whether anything is.
    pub(super) enabled: bool,
    /// Whether error codes are.
    pub(super) error_codes: bool,
    /// Rewriting of label values; all of them compile.
    pub(super) rules: Vec<MetricsRule>,
    /// Upper bounds in milliseconds.
    pub(super) latency_buckets: Bounds,
    /// Whether each path counts apart.
    pub(super) each_path: bool,
    /// Paths that count as one.
    pub(super) patterns: Patterns,
    /// Whether verbs are left out.
    pub(super) without_verbs: bool,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSettings {
    /// A rule is no regular expression.
    #[error(transparent)]
    Rule(#[from] InvalidRule),
    /// A path pattern cannot be read.
    #[error(transparent)]
    Pattern(#[from] InvalidPattern),
}

impl Settings {
    /// The settings of a Configuration. What `metrics` sets wins over the same member of `metric`.
    ///
    /// # Errors
    /// A rule or a path pattern is malformed.
    pub fn new(configuration: &ConfigurationSpec) -> Result<Self, InvalidSettings> {
        let (none, unset) = (MetricSpec::default(), MetricSpec::default());
        let old = configuration.metric.as_ref().unwrap_or(&none);
        let new = configuration.metrics.as_ref().unwrap_or(&unset);
        let http = new.http.as_ref().or(old.http.as_ref());
        let rules = if new.rules.is_empty() {
            &old.rules
        } else {
            &new.rules
        };
        rules::check(rules)?;
        let buckets = new.latency_distribution_buckets.as_ref();
        let buckets = buckets.or(old.latency_distribution_buckets.as_ref());
        let patterns = http.map(|http| http.path_matching.as_slice());
        Ok(Self {
            enabled: new.enabled.or(old.enabled).unwrap_or(true),
            error_codes: new
                .record_error_codes
                .or(old.record_error_codes)
                .unwrap_or(false),
            rules: rules.clone(),
            latency_buckets: latency_buckets(buckets.map_or(&[], Vec::as_slice)),
            each_path: http
                .and_then(|http| http.increased_cardinality)
                .unwrap_or(true),
            patterns: Patterns::new(patterns.unwrap_or_default())?,
            without_verbs: http.and_then(|http| http.exclude_verbs).unwrap_or(false),
        })
    }
}

impl Settings {
    /// Those under which every family is there.
    pub(super) fn everything() -> Self {
        Self {
            error_codes: true,
            ..Self::default()
        }
    }
}

impl Default for Settings {
    /// Those of an empty Configuration.
    fn default() -> Self {
        Self::new(&ConfigurationSpec::default()).expect("nothing can be wrong with nothing")
    }
}

/// Bounds in order; none given are upstream's.
fn latency_buckets(given: &[i64]) -> Bounds {
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds up to 2^53 are exact"
    )]
    let mut bounds: Vec<f64> = given
        .iter()
        .filter(|bound| **bound > 0)
        .map(|bound| *bound as f64)
        .collect();
    bounds.sort_by(f64::total_cmp);
    bounds.dedup();
    if bounds.len() != given.len() || !given.is_sorted() {
        tracing::warn!(?given, used = ?bounds, "latencyDistributionBuckets should ascend from above 0");
    }
    if bounds.is_empty() {
        return LATENCY_BUCKETS.into();
    }
    bounds.into()
}

#[cfg(test)]
mod tests {
    use trilby_crds::ConfigurationSpec;

    use super::{LATENCY_BUCKETS, Settings};

    fn settings(json: &str) -> Settings {
        let spec: ConfigurationSpec = serde_json::from_str(json).unwrap();
        Settings::new(&spec).unwrap()
    }

    #[test]
    fn nothing_said_is_everything_on_as_upstream_has_it() {
        let settings = settings("{}");
        assert!(settings.enabled && settings.each_path);
        assert!(!settings.error_codes && !settings.without_verbs && settings.patterns.is_empty());
        assert_eq!(*settings.latency_buckets, LATENCY_BUCKETS);
    }

    #[test]
    fn metrics_wins_over_metric_member_by_member() {
        let settings = settings(
            r#"{"metric":{"enabled":false,"recordErrorCodes":true,"latencyDistributionBuckets":[7],
                          "http":{"increasedCardinality":true,"excludeVerbs":true}},
                "metrics":{"enabled":true,"http":{"increasedCardinality":false}}}"#,
        );
        assert!(settings.enabled && settings.error_codes);
        assert_eq!(*settings.latency_buckets, [7.0]);
        // `http` is one member: what it does not say is the default.
        assert!(!settings.each_path && !settings.without_verbs);
    }

    #[test]
    fn buckets_are_put_in_order() {
        let settings = settings(r#"{"metrics":{"latencyDistributionBuckets":[50,0,5,5,-1]}}"#);
        assert_eq!(*settings.latency_buckets, [5.0, 50.0]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (json, word) in [
            (
                r#"{"metrics":{"http":{"pathMatching":["/a/{b"]}}}"#,
                "/a/{b",
            ),
            (
                r#"{"metrics":{"rules":[{"name":"x","labels":[{"name":"y","regex":{"z":"["}}]}]}}"#,
                "\"[\"",
            ),
        ] {
            let spec: ConfigurationSpec = serde_json::from_str(json).unwrap();
            let error = Settings::new(&spec).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
