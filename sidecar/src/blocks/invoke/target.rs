//! Whom an application wants to call.

/// A parsed target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The app id.
    pub app_id: String,
    /// Its namespace.
    pub namespace: String,
}

/// A target that names no application.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidTarget {
    /// Nothing was given.
    #[error("app id is empty")]
    Empty,
    /// More than one dot.
    #[error("invalid app id {0}")]
    Malformed(String),
}

impl Target {
    /// Reads `app` or `app.namespace`; without a namespace it is `own_namespace`.
    ///
    /// # Errors
    /// The text is empty or has more than one dot.
    pub fn parse(text: &str, own_namespace: &str) -> Result<Self, InvalidTarget> {
        if text.is_empty() {
            return Err(InvalidTarget::Empty);
        }
        let mut parts = text.split('.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(app_id), None, _) => Ok(Self::new(app_id, own_namespace)),
            (Some(app_id), Some(namespace), None) => Ok(Self::new(app_id, namespace)),
            _ => Err(InvalidTarget::Malformed(text.to_owned())),
        }
    }

    fn new(app_id: &str, namespace: &str) -> Self {
        Self {
            app_id: app_id.to_owned(),
            namespace: namespace.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidTarget, Target};

    #[test]
    fn namespace_may_stand_behind_a_dot() {
        assert_eq!(Target::parse("a", "own").unwrap(), Target::new("a", "own"));
        assert_eq!(
            Target::parse("a.other", "own").unwrap(),
            Target::new("a", "other")
        );
    }

    #[test]
    fn other_forms_are_refused_by_name() {
        assert_eq!(Target::parse("", "own"), Err(InvalidTarget::Empty));
        assert_eq!(
            Target::parse("a.b.c", "own").unwrap_err().to_string(),
            "invalid app id a.b.c"
        );
    }
}
