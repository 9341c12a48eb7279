//! Reasons without secrets: they are shown in the log, by the metadata API, and in the resource's status.

use trilby_components::metadata::Metadata;

use crate::manifest::Manifest;

/// Shorter values are no secrets, and occur in every text.
const SHORTEST: usize = 4;
const REDACTED: &str = "[redacted]";

/// Values that must not be shown.
pub(crate) struct Redaction(Vec<String>);

impl Redaction {
    /// Of the properties that take their value from a secret or from the environment.
    pub(crate) fn of(manifest: &Manifest, metadata: &Metadata) -> Self {
        let hidden = manifest
            .properties
            .iter()
            .filter(|property| property.secret.is_some() || property.env.is_some())
            .filter_map(|property| metadata.get(&property.name));
        let mut values: Vec<String> = hidden
            .flat_map(|value| [value.to_owned(), escaped(value)])
            .filter(|value| value.len() >= SHORTEST)
            .collect();
        // A value that contains another goes first.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        Self(values)
    }

    pub(crate) fn apply(&self, text: String) -> String {
        let hide = |text: String, value: &String| match text.contains(value) {
            true => text.replace(value, REDACTED),
            false => text,
        };
        self.0.iter().fold(text, hide)
    }
}

/// As messages quote it.
fn escaped(value: &str) -> String {
    value.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use trilby_components::metadata::Metadata;

    use super::Redaction;
    use crate::manifest::{Manifest, Received};

    fn manifest() -> Manifest {
        let json = r#"{"metadata":{"name":"s"},"spec":{"type":"t","metadata":[
            {"name":"host","value":"db.example"},
            {"name":"password","secretKeyRef":{"name":"db","key":"password"}},
            {"name":"long","secretKeyRef":{"name":"db","key":"long"}},
            {"name":"short","secretKeyRef":{"name":"db","key":"short"}},
            {"name":"token","envRef":"TOKEN"}]}}"#;
        match Received::decode(json.as_bytes()).unwrap() {
            Received::Manifest(manifest) => *manifest,
            broken @ Received::Broken { .. } => panic!("{broken:?}"),
        }
    }

    #[test]
    fn values_of_secrets_and_of_the_environment_are_not_shown() {
        let metadata = Metadata::new([
            ("host", "db.example"),
            ("password", "hunter2"),
            ("long", "hunter2-and\"more"),
            ("short", "x"),
            ("token", "t0ken"),
        ]);
        let redaction = Redaction::of(&manifest(), &metadata.unwrap());
        for (text, shown) in [
            (
                "redis://u:hunter2@db.example refused t0ken",
                "redis://u:[redacted]@db.example refused [redacted]",
            ),
            (r#"bad "hunter2-and\"more""#, r#"bad "[redacted]""#),
            ("an axe", "an axe"),
        ] {
            assert_eq!(redaction.apply(text.to_owned()), shown);
        }
    }
}
