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
        self.insert(&text).map_err(|reason| InvalidPattern {
            pattern: text.clone(),
            reason,
        })?;
        self.texts.push(text);
        Ok(())
    }

    fn insert(&mut self, text: &str) -> Result<(), &'static str> {
        let mut node = &mut self.root;
        let mut names: Vec<&str> = Vec::new();
        let mut segments = text[1..].split('/').peekable();
        let end = loop {
            let Some(segment) = segments.next() else {
                break &mut node.end;
            };
            let last = segments.peek().is_none();
            match Part::read(segment)? {
                Part::Literal("") if last => break &mut node.rest,
                Part::Literal(text) => node = node.literals.entry(text.to_owned()).or_default(),
                Part::End if last => break &mut node.slash,
                Part::End => return Err("{$} must be at the end"),
                Part::Segment(name) | Part::Rest(name) if names.contains(&name) => {
                    return Err("two wildcards have the same name");
                }
                Part::Rest(_) if last => break &mut node.rest,
                Part::Rest(_) => return Err("{name...} must be at the end"),
                Part::Segment(name) => {
                    names.push(name);
                    node = node.segment.get_or_insert_default();
                }
            }
        };
        match end.replace(self.texts.len()) {
            Some(_) => Err("it matches the same paths as another"),
            None => Ok(()),
        }
    }
}

/// What stands between two slashes of a pattern.
#[derive(Debug, Clone, Copy)]
enum Part<'a> {
    Literal(&'a str),
    /// `{name}`
    Segment(&'a str),
    /// `{name...}`
    Rest(&'a str),
    /// `{$}`
    End,
}

impl<'a> Part<'a> {
    fn read(segment: &'a str) -> Result<Self, &'static str> {
        let inner = segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        let part = match inner {
            None if segment.contains(['{', '}']) => {
                return Err("a wildcard must be a whole segment, as {name}");
            }
            None => return Ok(Self::Literal(segment)),
            Some("$") => return Ok(Self::End),
            Some(name) => match name.strip_suffix("...") {
                Some(name) => Self::Rest(name),
                None => Self::Segment(name),
            },
        };
        match part {
            Self::Segment(name) | Self::Rest(name) if !is_name(name) => {
                Err("a wildcard needs a name of letters, digits and underscores")
            }
            part => Ok(part),
        }
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
