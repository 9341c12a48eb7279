//! Paths with variables.

use regex::Regex;

/// What a variable without an expression of its own matches.
const SEGMENT: &str = "[^/]+";

/// A whole path with `{name}` or `{name:expression}` in it.
pub(super) struct Pattern {
    expression: Regex,
    names: Vec<String>,
}

impl Pattern {
    /// Compiles a path; the error says what is wrong with it.
    pub(super) fn parse(path: &str) -> Result<Self, String> {
        if !path.starts_with('/') {
            return Err("it has to start with a slash".to_owned());
        }
        let mut expression = String::from("^");
        let mut names = Vec::new();
        let mut rest = path;
        while let Some(open) = rest.find(['{', '}']) {
            let (text, variable) = rest.split_at(open);
            let inside = braced(variable).ok_or("its braces are not balanced")?;
            let (name, own) = inside.split_once(':').unwrap_or((inside, SEGMENT));
            if name.is_empty() || own.is_empty() {
                return Err(format!("{{{inside}}} lacks a name or an expression"));
            }
            expression.push_str(&regex::escape(text));
            expression.push_str(&format!("(?P<v{}>{own})", names.len()));
            names.push(name.to_owned());
            rest = &variable[inside.len() + 2..];
        }
        expression.push_str(&regex::escape(rest));
        expression.push('$');
        let expression = Regex::new(&expression).map_err(|error| error.to_string())?;
        Ok(Self { expression, names })
    }

    /// The variables of a path; `None` when it does not match.
    pub(super) fn variables(&self, path: &str) -> Option<Vec<(String, String)>> {
        let captures = self.expression.captures(path)?;
        let named = self.names.iter().enumerate().map(|(at, name)| {
            let value = captures.name(&format!("v{at}"));
            let value = value.map_or("", |value| value.as_str());
            (name.clone(), value.to_owned())
        });
        Some(named.collect())
    }
}

/// What stands between the brace that `text` starts with and its partner.
fn braced(text: &str) -> Option<&str> {
    let mut depth = 0_usize;
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(&text[1..at]);
        }
    }
    None
}
