//! Path patterns (`spec.metrics.http.pathMatching`), with the meaning that Go's `ServeMux` gives them: `{name}` is one
//! segment, `{name...}` and a slash at the end are any rest, `{$}` is the end. The more specific pattern wins.

use std::collections::BTreeMap;

/// What stands before the paths of an application when it is invoked.
const INVOKE: &str = "/v1.0/invoke/{app_id}/method";

/// Patterns, compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Patterns {
    root: Node,
    /// What is shown, by number.
    texts: Vec<String>,
}

/// A pattern that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("pathMatching {pattern:?}: {reason}")]
pub struct InvalidPattern {
    pattern: String,
    reason: &'static str,
}

/// What may follow a part of a path. Numbers are those of the patterns that end there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    literals: BTreeMap<String, Node>,
    segment: Option<Box<Node>>,
    rest: Option<usize>,
    /// For a pattern that ends with `{$}`: the path ends with a slash here.
    slash: Option<usize>,
    end: Option<usize>,
}

/// A match, and whether anything was left for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Match {
    pattern: usize,
    exact: bool,
}

impl Patterns {
    /// Compiles patterns, each also as an application's path behind the invocation API.
    ///
    /// # Errors
    /// Names the first that is malformed, or that means the same as another.
    pub(super) fn new(given: &[String]) -> Result<Self, InvalidPattern> {
        let mut texts = Vec::with_capacity(given.len() * 2);
        for pattern in given {
            let mut normal = String::new();
            normalize(pattern, &mut normal);
            if !normal.starts_with("/v1.0/invoke/") {
                texts.push(format!("{INVOKE}{normal}"));
            }
            texts.push(normal);
        }
        texts.sort_unstable();
        texts.dedup();
        let mut patterns = Self::default();
        for text in texts {
            patterns.add(text)?;
        }
        Ok(patterns)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The pattern of a path that begins with a slash and has no two in a row.
    pub(super) fn find(&self, path: &str) -> Option<&str> {
        let path = path.strip_prefix('/')?;
        let found = self.root.find(path);
        let found = match found {
            Some(Match { exact: true, .. }) => found,
            _ if path.ends_with('/') => found,
            // Go redirects to the path with a slash, if that is exactly what is registered.
            _ => self.root.with_slash(path).or(found),
        };
        found.map(|found| self.texts[found.pattern].as_str())
    }

    fn add(&mut self, text: String) -> Result<(), InvalidPattern> {
        let invalid = |reason| InvalidPattern {
            pattern: text.clone(),
            reason,
        };
        let number = self.texts.len();
        let mut node = &mut self.root;
        let mut names: Vec<&str> = Vec::new();
        let mut segments = text[1..].split('/').peekable();
        let mut end = None;
        while let Some(segment) = segments.next() {
            let last = segments.peek().is_none();
            let inner = segment
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'));
            match inner {
                None if segment.contains(['{', '}']) => {
                    return Err(invalid("a wildcard must be a whole segment, as {name}"));
                }
                None if segment.is_empty() && last => end = Some(&mut node.rest),
                None => node = node.literals.entry(segment.to_owned()).or_default(),
                Some("$") if last => end = Some(&mut node.slash),
                Some("$") => return Err(invalid("{$} must be at the end")),
                Some(name) => {
                    let (name, rest) = match name.strip_suffix("...") {
                        Some(name) => (name, true),
                        None => (name, false),
                    };
                    if !is_name(name) {
                        return Err(invalid(
                            "a wildcard needs a name of letters, digits and underscores",
                        ));
                    }
                    if names.contains(&name) {
                        return Err(invalid("two wildcards have the same name"));
                    }
                    if rest && !last {
                        return Err(invalid("{name...} must be at the end"));
                    }
                    names.push(name);
                    if rest {
                        end = Some(&mut node.rest);
                    } else {
                        node = node.segment.get_or_insert_default();
                    }
                }
            }
            if end.is_some() {
                break;
            }
        }
        let end = match end {
            Some(end) => end,
            None => &mut node.end,
        };
        if end.replace(number).is_some() {
            return Err(invalid("it matches the same paths as another"));
        }
        self.texts.push(text);
        Ok(())
    }
}

impl Node {
    /// Looks up what follows a slash.
    fn find(&self, path: &str) -> Option<Match> {
        let exact = |pattern| Match {
            pattern,
            exact: true,
        };
        if path.is_empty() {
            return self.slash.or(self.rest).map(exact);
        }
        let (segment, behind) = match path.split_once('/') {
            Some((segment, behind)) => (segment, Some(behind)),
            None => (path, None),
        };
        let next = |node: &Self| match behind {
            Some(behind) => node.find(behind),
            None => node.end.map(exact),
        };
        let literal = self.literals.get(segment).and_then(next);
        let wildcard = || self.segment.as_deref().and_then(next);
        let rest = || {
            self.rest.map(|pattern| Match {
                pattern,
                exact: false,
            })
        };
        literal.or_else(wildcard).or_else(rest)
    }

    /// The pattern that is exactly `path` and a slash.
    fn with_slash(&self, path: &str) -> Option<Match> {
        let mut nodes = vec![self];
        for segment in path.split('/') {
            let mut next = Vec::new();
            for node in nodes {
                next.extend(node.literals.get(segment));
                next.extend(node.segment.as_deref());
            }
            nodes = next;
        }
        let mut ends = nodes.iter().filter_map(|node| node.slash.or(node.rest));
        ends.next().map(|pattern| Match {
            pattern,
            exact: true,
        })
    }
}

fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    let letter = |character: char| character.is_alphabetic() || character == '_';
    characters.next().is_some_and(letter)
        && characters.all(|character| letter(character) || character.is_numeric())
}

/// Writes a path with a slash in front and no two in a row.
pub(super) fn normalize(path: &str, out: &mut String) {
    out.push('/');
    let mut slash = true;
    for character in path.chars() {
        if character != '/' || !slash {
            out.push(character);
        }
        slash = character == '/';
    }
}

#[cfg(test)]
mod tests;
