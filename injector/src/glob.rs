//! Shell patterns, matched over the whole text: `*` any run but `/`, `?` one character but `/`, `[a-z]` and `[^x]`
//! classes, `\` takes the next character literally.

/// A pattern that was read without error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob(Vec<Token>);

/// Why a pattern cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GlobError {
    /// `[` without `]`, or with nothing, or with half a range, between them.
    #[error("malformed character class")]
    Class,
    /// A `\` at the end.
    #[error("nothing follows the last \\")]
    Escape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Run,
    One,
    Exactly(char),
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Glob {
    /// Reads a pattern.
    pub(crate) fn parse(pattern: &str) -> Result<Self, GlobError> {
        let mut chars = pattern.chars().peekable();
        let mut tokens = Vec::new();
        while let Some(char) = chars.next() {
            tokens.push(match char {
                '*' => Token::Run,
                '?' => Token::One,
                '[' => class(&mut chars)?,
                '\\' => Token::Exactly(chars.next().ok_or(GlobError::Escape)?),
                other => Token::Exactly(other),
            });
        }
        Ok(Self(tokens))
    }

    /// Whether the whole text matches. Takes at most the product of both lengths.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut token, mut at) = (0, 0);
        // Where to resume when what follows the last run does not match: one character further into the run.
        let mut run: Option<(usize, usize)> = None;
        loop {
            match self.0.get(token) {
                Some(Token::Run) => {
                    run = Some((token + 1, at));
                    token += 1;
                    continue;
                }
                Some(wanted) if text.get(at).is_some_and(|&char| wanted.takes(char)) => {
                    token += 1;
                    at += 1;
                    continue;
                }
                None if at == text.len() => return true,
                _ => {}
            }
            match run {
                Some((after, from)) if text.get(from).is_some_and(|&char| char != '/') => {
                    run = Some((after, from + 1));
                    (token, at) = (after, from + 1);
                }
                _ => return false,
            }
        }
    }
}

impl Token {
    fn takes(&self, char: char) -> bool {
        match self {
            Self::Run => false,
            Self::One => char != '/',
            Self::Exactly(wanted) => char == *wanted,
            Self::Class { negated, ranges } => {
                let inside = ranges
                    .iter()
                    .any(|&(low, high)| low <= char && char <= high);
                inside != *negated
            }
        }
    }
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn class(chars: &mut Chars<'_>) -> Result<Token, GlobError> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && chars.next_if_eq(&']').is_some() {
            return Ok(Token::Class { negated, ranges });
        }
        let low = class_member(chars)?;
        let high = match chars.next_if_eq(&'-') {
            Some(_) => class_member(chars)?,
            None => low,
        };
        ranges.push((low, high));
    }
}

fn class_member(chars: &mut Chars<'_>) -> Result<char, GlobError> {
    match chars.next() {
        None | Some('-' | ']') => Err(GlobError::Class),
        Some('\\') => chars.next().ok_or(GlobError::Class),
        Some(char) => Ok(char),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{Glob, GlobError};

    fn matches(pattern: &str, text: &str) -> bool {
        Glob::parse(pattern).unwrap().matches(text)
    }

    #[test]
    fn the_whole_text_must_match() {
        assert!(matches("deploy", "deploy"));
        assert!(!matches("deploy", "deployer"));
        assert!(!matches("deploy", "Deploy"));
        assert!(matches("", ""));
        assert!(!matches("", "a"));
    }

    #[test]
    fn runs_and_single_characters_stop_at_slashes() {
        assert!(matches("sa-*", "sa-"));
        assert!(matches("*-prod-*", "team-a-prod-eu"));
        assert!(matches("a*b*c", "aXbYbZc"));
        assert!(!matches("a*c", "a/c"));
        assert!(matches("staging-?", "staging-1"));
        assert!(!matches("staging-?", "staging-12"));
        assert!(!matches("?", "/"));
    }

    #[test]
    fn classes_take_one_of_a_set() {
        assert!(matches("[abc]", "b"));
        assert!(matches("team-[a-f0-9]", "team-7"));
        assert!(!matches("[^x]", "x"));
        assert!(matches("[^x]", "y"));
        assert!(matches(r"[\]]", "]"));
        assert!(matches(r"\*", "*"));
        assert!(!matches(r"\*", "a"));
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for pattern in ["[", "[]", "[]a]", "[a", "[a-]", "[-a]", r"[\"] {
            assert_eq!(Glob::parse(pattern), Err(GlobError::Class), "{pattern}");
        }
        assert_eq!(Glob::parse(r"a\"), Err(GlobError::Escape));
    }

    proptest! {
        #[test]
        fn nothing_panics(pattern in any::<String>(), text in any::<String>()) {
            drop(Glob::parse(&pattern).map(|glob| glob.matches(&text)));
        }

        #[test]
        fn a_text_between_its_own_halves_matches(a in "[a-z]{0,8}", b in "[a-z]{0,8}", c in "[a-z]{0,8}") {
            let glob = format!("{a}*{c}");
            let text = format!("{a}{b}{c}");
            assert!(matches(&glob, &text));
        }
    }
}
