//! What is said about an object, bounded.

use std::fmt;

/// More findings about one object are only counted: nobody reads them, and looking for neighbours of names costs.
const MOST: usize = 64;

/// One thing that is wrong, or may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where: `spec.metadata[redisHost]`.
    pub path: String,
    /// How bad.
    pub severity: Severity,
    /// What, and what to do. No values of settings.
    pub text: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It may be well: it depends on things that cannot be seen from here, or changes nothing.
    Notice,
    /// Sidecars refuse the resource, or do something else than it says.
    Error,
}

/// The findings about one object.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    /// How many more there would be.
    more: usize,
}

impl Findings {
    pub(super) fn error(&mut self, path: impl Into<String>, text: impl FnOnce() -> String) {
        self.add(path.into(), Severity::Error, text);
    }

    pub(super) fn notice(&mut self, path: impl Into<String>, text: impl FnOnce() -> String) {
        self.add(path.into(), Severity::Notice, text);
    }

    /// Whether sidecars would refuse the object, or take it for something else.
    pub(super) fn has_errors(&self) -> bool {
        self.list
            .iter()
            .any(|finding| finding.severity == Severity::Error)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn into_list(self) -> Vec<Finding> {
        self.list
    }

    /// A line each, none longer than `longest` characters and all of them together not longer than `total`; what does
    /// not fit is counted in the last one. The worst come first.
    pub(super) fn lines(&self, longest: usize, total: usize) -> Vec<String> {
        let by_severity = |severity| {
            self.list
                .iter()
                .filter(move |finding| finding.severity == severity)
        };
        let mut lines = Vec::new();
        let mut room = total.saturating_sub(longest);
        let all = by_severity(Severity::Error).chain(by_severity(Severity::Notice));
        for finding in all {
            let line = shortened(&finding.to_string(), longest);
            if line.len() > room {
                break;
            }
            room -= line.len();
            lines.push(line);
        }
        let left = self.list.len() - lines.len() + self.more;
        if left > 0 {
            lines.push(format!("and {left} more"));
        }
        lines
    }

    fn add(&mut self, path: String, severity: Severity, text: impl FnOnce() -> String) {
        if self.list.len() == MOST {
            self.more += 1;
            return;
        }
        let text = text();
        self.list.push(Finding {
            path,
            severity,
            text,
        });
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.text)
    }
}

/// At most `longest` bytes. One line: the API server drops warnings with control characters.
fn shortened(text: &str, longest: usize) -> String {
    const CUT: &str = "…";
    let line = text.replace(char::is_control, " ");
    if line.len() <= longest {
        return line;
    }
    let end = line.floor_char_boundary(longest.saturating_sub(CUT.len()));
    format!("{}{CUT}", &line[..end])
}

#[cfg(test)]
mod tests {
    use super::{Findings, MOST};

    #[test]
    fn errors_come_first() {
        let mut findings = Findings::default();
        findings.notice("a", || "may be".to_owned());
        findings.error("b", || "is".to_owned());
        assert_eq!(findings.lines(256, 4096), ["b: is", "a: may be"]);
        assert!(findings.has_errors());
    }

    #[test]
    fn a_line_is_cut_between_characters_and_holds_no_others_than_printable_ones() {
        let mut findings = Findings::default();
        findings.error("a", || format!("\n{}", "ö".repeat(300)));
        let lines = findings.lines(256, 4096);
        assert!(lines[0].len() <= 256 && lines[0].len() > 250);
        assert!(lines[0].starts_with("a:  ö") && lines[0].ends_with("ö…"));
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut findings = Findings::default();
        for _ in 0..1000 {
            findings.error("a", || "x".repeat(400));
        }
        let lines = findings.lines(256, 4096);
        assert_eq!(lines.len(), 16);
        assert_eq!(lines[15], format!("and {} more", 1000 - 15));
        assert!(lines.iter().map(String::len).sum::<usize>() <= 4096);
        assert_eq!(findings.into_list().len(), MOST);
    }
}
