//! What became of a definition that may lack something, and what is told of it. Pure.

use std::fmt::Display;

use trilby_events::{News, Tone};

use super::difference::Difference;

/// Differences that a text names; the number of all is told with them.
const NAMED: usize = 12;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It lacks nothing.
    Current,
    /// What would be done.
    Planned(String),
    /// What was done.
    Upgraded(String),
    /// Why nothing was done.
    Refused(String),
    /// It changed while it was looked at.
    Changed,
    /// What could not be done.
    Failed(String),
}

impl Verdict {
    /// The values of the label `state`.
    pub(crate) const STATES: [&str; 4] = ["current", "planned", "refused", "failed"];

    /// How the definition stands.
    pub(crate) fn state(&self) -> &'static str {
        match self {
            Self::Current | Self::Upgraded(_) => "current",
            Self::Planned(_) => "planned",
            Self::Refused(_) => "refused",
            Self::Changed | Self::Failed(_) => "failed",
        }
    }

    /// Whether it is worth another try soon.
    pub(super) fn is_unsettled(&self) -> bool {
        matches!(self, Self::Changed | Self::Failed(_))
    }

    /// What is told of it, if anything.
    pub(super) fn news(&self) -> Option<News<'_>> {
        let (tone, reason, note) = match self {
            Self::Current | Self::Changed => return None,
            Self::Planned(what) => (Tone::Normal, "UpgradePlanned", what),
            Self::Upgraded(what) => (Tone::Normal, "Upgraded", what),
            Self::Refused(why) => (Tone::Warning, "UpgradeRefused", why),
            Self::Failed(why) => (Tone::Warning, "UpgradeFailed", why),
        };
        Some(News {
            tone,
            reason,
            action: "Upgrade",
            note,
        })
    }
}

/// What an upgrade changes: `adds 2: a; b. Takes away what no object uses, 1: c`.
pub(super) fn changes(gains: &[Difference], losses: &[Difference]) -> String {
    let mut text = format!("adds {}", list(gains));
    if !losses.is_empty() {
        text = format!("{text}. Takes away what no object uses, {}", list(losses));
    }
    text
}

/// How many there are, and the first of them.
pub(super) fn list<T: Display>(all: &[T]) -> String {
    let named: Vec<_> = all.iter().take(NAMED).map(ToString::to_string).collect();
    let rest = if all.len() > NAMED { "; …" } else { "" };
    format!("{}: {}{rest}", all.len(), named.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_the_first_and_counts_all() {
        assert_eq!(list(&["a", "b"]), "2: a; b");
        let many: Vec<_> = (0..30).collect();
        assert!(list(&many).starts_with("30: 0; 1;"));
        assert!(list(&many).ends_with("11; …"));
    }

    #[test]
    fn every_state_is_a_label_and_only_what_changes_something_is_told() {
        let text = String::new;
        for (verdict, told) in [
            (Verdict::Current, None),
            (Verdict::Changed, None),
            (Verdict::Planned(text()), Some("UpgradePlanned")),
            (Verdict::Upgraded(text()), Some("Upgraded")),
            (Verdict::Refused(text()), Some("UpgradeRefused")),
            (Verdict::Failed(text()), Some("UpgradeFailed")),
        ] {
            assert!(Verdict::STATES.contains(&verdict.state()));
            assert_eq!(verdict.news().map(|news| news.reason), told);
        }
    }
}
