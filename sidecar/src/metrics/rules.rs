//! Rewriting of label values by regular expressions (`spec.metrics.rules`). Without rules nothing is compiled.

use std::borrow::Cow;

use regex::Regex;
use trilby_crds::MetricsRule;

use super::definition::Definition;

/// The rules of one family.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    /// By the position of a label.
    labels: Vec<(usize, Vec<Replacement>)>,
    /// For the label that every series has.
    app_id: Vec<Replacement>,
}

#[derive(Debug, Clone)]
struct Replacement {
    pattern: Regex,
    /// May name groups of the pattern, as `$1`.
    by: String,
}

/// A rule that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "rule of metric {metric:?}, label {label:?}: {pattern:?} is no regular expression: {reason}"
)]
pub struct InvalidRule {
    metric: String,
    label: String,
    pattern: String,
    reason: String,
}

impl Rules {
    /// The rules of a Configuration that are about one family.
    ///
    /// # Errors
    /// Names the first that is no regular expression.
    pub(super) fn of(definition: &Definition, rules: &[MetricsRule]) -> Result<Self, InvalidRule> {
        let mut found = Self::default();
        let mine = rules
            .iter()
            .filter(|rule| rule.name.replacen("dapr_", "", 1) == definition.name);
        for (rule, label) in
            mine.flat_map(|rule| rule.labels.iter().map(move |label| (rule, label)))
        {
            let replacements = compile(rule, label)?;
            let at = definition
                .labels
                .iter()
                .position(|known| known.name == label.name);
            match at {
                Some(at) => found.labels.push((at, replacements)),
                None if label.name == "app_id" => found.app_id.extend(replacements),
                None => tracing::warn!(
                    metric = rule.name,
                    label = label.name,
                    "a metrics rule is about a label that the metric does not have"
                ),
            }
        }
        Ok(found)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The values to show in the place of `values`. Those that are empty stay so.
    pub(super) fn apply<'a>(&self, values: &[&'a str]) -> Vec<Cow<'a, str>> {
        let mut shown: Vec<Cow<'a, str>> =
            values.iter().map(|value| Cow::Borrowed(*value)).collect();
        for (at, replacements) in &self.labels {
            if !shown[*at].is_empty() {
                replace(&mut shown[*at], replacements);
            }
        }
        shown
    }

    /// The app id to show.
    pub(super) fn app_id<'a>(&self, app_id: &'a str) -> Cow<'a, str> {
        let mut shown = Cow::Borrowed(app_id);
        replace(&mut shown, &self.app_id);
        shown
    }
}

impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        self.labels == other.labels && self.app_id == other.app_id
    }
}

impl PartialEq for Replacement {
    fn eq(&self, other: &Self) -> bool {
        self.pattern.as_str() == other.pattern.as_str() && self.by == other.by
    }
}

/// Checks rules, of whatever metric.
///
/// # Errors
/// Names the first that is no regular expression.
pub(super) fn check(rules: &[MetricsRule]) -> Result<(), InvalidRule> {
    for rule in rules {
        for label in &rule.labels {
            compile(rule, label)?;
        }
    }
    Ok(())
}

fn compile(
    rule: &MetricsRule,
    label: &trilby_crds::MetricLabel,
) -> Result<Vec<Replacement>, InvalidRule> {
    let replacement = |(by, pattern): (&String, &String)| {
        let compiled = Regex::new(pattern).map_err(|error| InvalidRule {
            metric: rule.name.clone(),
            label: label.name.clone(),
            pattern: pattern.clone(),
            reason: error.to_string(),
        })?;
        Ok(Replacement {
            pattern: compiled,
            by: by.clone(),
        })
    };
    label.regex.iter().map(replacement).collect()
}

fn replace(value: &mut Cow<'_, str>, replacements: &[Replacement]) {
    for Replacement { pattern, by } in replacements {
        if let Cow::Owned(replaced) = pattern.replace_all(value, by.as_str()) {
            *value = Cow::Owned(replaced);
        }
    }
}

#[cfg(test)]
mod tests {
    use trilby_crds::MetricsRule;

    use super::super::definition::{Definition, few, many};
    use super::Rules;

    const FAMILY: Definition = Definition::counter(
        "http_server_request_count",
        "",
        &[few("method"), many("path")],
    );

    fn rules(json: &str) -> Result<Rules, super::InvalidRule> {
        let rules: Vec<MetricsRule> = serde_json::from_str(json).unwrap();
        Rules::of(&FAMILY, &rules)
    }

    #[test]
    fn matches_are_replaced_by_the_key() {
        let rules = rules(
            r#"[{"name":"dapr_http_server_request_count","labels":[
                {"name":"path","regex":{"/orders/{id}":"/orders/.+","/$1":"/items/(\\w+)/\\d+"}}]}]"#,
        )
        .unwrap();
        assert_eq!(rules.apply(&["GET", "/orders/17"])[1], "/orders/{id}");
        assert_eq!(rules.apply(&["GET", "/items/pen/4"])[1], "/pen");
        assert_eq!(rules.apply(&["GET", ""])[1], "");
    }

    #[test]
    fn the_prefix_of_the_name_may_be_left_out_and_others_are_not_touched() {
        let with = |name: &str| {
            rules(&format!(
                r#"[{{"name":"{name}","labels":[{{"name":"method","regex":{{"X":".*"}}}}]}}]"#
            ))
            .unwrap()
        };
        assert!(!with("http_server_request_count").is_empty());
        assert!(with("http_server_latency").is_empty());
    }

    #[test]
    fn a_bad_expression_is_named() {
        let error = rules(
            r#"[{"name":"http_server_request_count","labels":[{"name":"path","regex":{"x":"("}}]}]"#,
        )
        .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("http_server_request_count") && text.contains("\"(\""),
            "{text}"
        );
    }

    #[test]
    fn the_app_id_can_be_replaced_too() {
        let rules = rules(
            r#"[{"name":"http_server_request_count","labels":[{"name":"app_id","regex":{"app":"app-.*"}}]}]"#,
        )
        .unwrap();
        assert_eq!(rules.app_id("app-7f"), "app");
    }
}
