//! Addresses written as a template over the fields of a query.

use std::str::FromStr;

use trilby_components::name_resolution::Query;

/// A template such as `{{.ID}}-dapr.{{.Namespace}}:{{.Port}}`: the fields of Go's templates, without its
/// functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Id,
    Namespace,
    Port,
}

/// A template that cannot be filled.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TemplateError {
    /// `{{` without `}}`.
    #[error("template {0:?}: an action is not closed by }}}}")]
    Unclosed(String),
    /// Not one of the fields.
    #[error("template {template:?}: {{{{{action}}}}} is not one of .ID, .Namespace and .Port")]
    UnknownAction {
        /// The whole template.
        template: String,
        /// What stands between the braces.
        action: String,
    },
}

impl Template {
    /// Writes the address for a query.
    pub fn fill(&self, query: &Query<'_>) -> String {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Id => filled.push_str(query.app_id),
                Part::Namespace => filled.push_str(query.namespace),
                Part::Port => filled.push_str(&query.port.to_string()),
            }
        }
        filled
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (action, behind) = after
                .split_once("}}")
                .ok_or_else(|| TemplateError::Unclosed(text.to_owned()))?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(match action.trim() {
                ".ID" => Part::Id,
                ".Namespace" => Part::Namespace,
                ".Port" => Part::Port,
                other => {
                    let (template, action) = (text.to_owned(), other.to_owned());
                    return Err(TemplateError::UnknownAction { template, action });
                }
            });
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }
}
