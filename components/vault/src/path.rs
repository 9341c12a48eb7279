//! Paths of the API, escaped part by part. Pure.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a part of a path need not escape (RFC 3986, unreserved).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A path that would lead elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} has a part that leads elsewhere (\".\" or \"..\")")]
pub(crate) struct LeadsElsewhere(String);

/// A path as it is sent: its parts escaped, none of them empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Path(String);

impl Path {
    /// Takes a text of parts with slashes in between; superfluous slashes are left out, as Vault does itself.
    ///
    /// # Errors
    /// A part leads elsewhere: out of the prefix, for instance.
    pub(crate) fn new(text: &str) -> Result<Self, LeadsElsewhere> {
        let mut parts = Vec::new();
        for part in text.split('/').filter(|part| !part.is_empty()) {
            if part == "." || part == ".." {
                return Err(LeadsElsewhere(text.to_owned()));
            }
            parts.push(utf8_percent_encode(part, ESCAPED).to_string());
        }
        Ok(Self(parts.join("/")))
    }

    /// This, and the other below it.
    pub(crate) fn join(&self, below: &Self) -> Self {
        match (self.0.as_str(), below.0.as_str()) {
            ("", _) => below.clone(),
            (_, "") => self.clone(),
            (above, below) => Self(format!("{above}/{below}")),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> String {
        Path::new(text).expect("it leads nowhere else").0
    }

    /// Upstream escapes nothing.
    #[test]
    fn parts_are_escaped_and_slashes_stay() {
        assert_eq!(path("db/main"), "db/main");
        assert_eq!(path("a b?version=1#x%2f"), "a%20b%3Fversion%3D1%23x%252f");
        assert_eq!(path("Schlüssel-1.2_~"), "Schl%C3%BCssel-1.2_~");
        assert_eq!(path("//a///b/"), "a/b");
        assert!(path("/").is_empty());
    }

    #[test]
    fn a_part_that_leads_elsewhere_is_refused() {
        for text in ["..", "a/../b", "./a", "a/."] {
            assert_eq!(Path::new(text), Err(LeadsElsewhere(text.to_owned())));
        }
        assert_eq!(path("..a/b..c/..."), "..a/b..c/...");
    }

    #[test]
    fn an_empty_path_adds_nothing() {
        let part = |text: &str| Path::new(text).expect("it leads nowhere else");
        assert_eq!(part("a").join(&part("b/c")).as_str(), "a/b/c");
        assert_eq!(part("").join(&part("b")).as_str(), "b");
        assert_eq!(part("a").join(&part("")).as_str(), "a");
    }
}
