//! Configuration files: YAML with variables, of which later ones win, member by member.

use std::{fs, path::PathBuf};

use serde_json::Value;
use trilby_crds::ConfigurationSpec;

use super::{
    document::parse,
    manifests::{Stamp, stamp},
};
use crate::config::Environment;

/// Some Configuration files, taken together.
pub(super) struct Configurations {
    paths: Vec<PathBuf>,
    environment: Environment,
    /// The files as they were when they were last read.
    seen: Vec<Option<Stamp>>,
    /// Why what they say now was not taken over.
    refused: Option<String>,
}

impl Configurations {
    pub(super) fn new(paths: Vec<PathBuf>, environment: Environment) -> Self {
        Self {
            paths,
            environment,
            seen: Vec::new(),
            refused: None,
        }
    }

    /// Whether there is nothing to look at.
    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Whether a file changed since the last call of [`Self::read`].
    pub(super) fn look(&mut self) -> bool {
        self.stamps() != self.seen
    }

    /// The files, and why what they say now was not taken over, if so.
    pub(super) fn problem(&self) -> Option<(String, String)> {
        let paths = self.paths.iter().map(|path| path.display().to_string());
        let reason = self.refused.clone()?;
        Some((paths.collect::<Vec<_>>().join(","), reason))
    }

    /// What the files say together.
    ///
    /// # Errors
    /// A file cannot be read, or is no Configuration.
    pub(super) fn read(&mut self) -> Result<ConfigurationSpec, String> {
        self.seen = self.stamps();
        let read = self.read_all();
        self.refused = read.as_ref().err().cloned();
        read
    }

    fn read_all(&self) -> Result<ConfigurationSpec, String> {
        let mut merged = Value::Null;
        for path in &self.paths {
            let failed = |error: String| format!("{}: {error}", path.display());
            let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
            let text = expand(&text, |name| self.environment.get(name));
            merge(&mut merged, parse(&text).map_err(failed)?);
        }
        if merged.is_null() {
            return Ok(ConfigurationSpec::default());
        }
        let configuration = crate::configuration::decode(merged.to_string().as_bytes());
        Ok(configuration?.spec)
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        self.paths.iter().map(|path| stamp(path)).collect()
    }
}

/// Puts `over` over `base`: objects member by member, anything else as a whole.
fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

/// Replaces `$name` and `${name}` as Go's `os.ExpandEnv` does; unknown names become nothing.
fn expand(text: &str, get: impl Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let (name, length) = variable(after);
        match name {
            // Nothing that could be a name: Go keeps the dollar.
            "" if length == 0 => expanded.push('$'),
            name => expanded.push_str(&get(name).unwrap_or_default()),
        }
        rest = &after[length..];
    }
    expanded + rest
}

/// The name after a dollar, and how much of the text it takes.
fn variable(text: &str) -> (&str, usize) {
    if let Some(braced) = text.strip_prefix('{') {
        return match braced.find('}') {
            Some(end) => (&braced[..end], end + 2),
            // Bad syntax: Go eats the dollar and the brace.
            None => ("", 1),
        };
    }
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    (&text[..end], end)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Configurations, expand, merge};
    use crate::config::Environment;

    #[test]
    fn variables_expand_as_in_go() {
        let get = |name: &str| (name == "HOST").then(|| "h".to_owned());
        for (text, expanded) in [
            ("a $HOST b", "a h b"),
            ("${HOST}:1", "h:1"),
            ("$HOST.x", "h.x"),
            ("$OTHER|", "|"),
            ("${}|", "|"),
            ("5 $ 6", "5 $ 6"),
            ("end $", "end $"),
            ("${HOST", "HOST"),
        ] {
            assert_eq!(expand(text, get), expanded, "{text:?}");
        }
    }

    #[test]
    fn later_files_win_member_by_member() {
        let mut merged = json!({"a": {"b": 1, "c": [1, 2]}, "d": 4});
        merge(&mut merged, json!({"a": {"c": [3]}, "e": null}));
        assert_eq!(merged, json!({"a": {"b": 1, "c": [3]}, "d": 4, "e": null}));
    }

    #[test]
    fn no_file_is_no_setting_and_a_missing_file_is_an_error() {
        let environment = Environment::new(|_| None);
        let none = Configurations::new(Vec::new(), environment.clone()).read();
        assert_eq!(none, Ok(Default::default()));
        let missing = Configurations::new(vec!["/nowhere/c.yaml".into()], environment).read();
        assert!(missing.unwrap_err().starts_with("/nowhere/c.yaml: "));
    }

    #[test]
    fn a_changed_file_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.yaml");
        let write = |deny: &str| {
            let text = format!("kind: Configuration\nspec:\n  components:\n    deny: [{deny}]\n");
            std::fs::write(&path, text).unwrap();
        };
        write("state.redis");
        let environment = Environment::new(|_| None);
        let mut files = Configurations::new(vec![path.clone()], environment);
        assert_eq!(
            files.read().unwrap().components.unwrap().deny,
            ["state.redis"]
        );
        assert!(!files.look());
        write("state.redis, pubsub.kafka");
        assert!(files.look());
        assert_eq!(files.read().unwrap().components.unwrap().deny.len(), 2);
    }
}
