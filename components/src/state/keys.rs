//! Keys by what they look like: listing them by a pattern, deleting them by a prefix.

use async_trait::async_trait;

use super::StateError;

/// What separates the parts of a full key, as in `<app id>||<key>`.
const SEPARATOR: &str = "||";

/// A store that removes all keys right below a prefix in one call.
#[async_trait]
pub trait PrefixDeletion: Send + Sync {
    /// Removes every key that `prefix` covers and says how many there were.
    async fn delete_with_prefix(&self, prefix: &KeyPrefix) -> Result<u64, StateError>;
}

/// A store that lists its keys.
#[async_trait]
pub trait KeyListing: Send + Sync {
    /// The keys that fit, in the store's order, a page at a time. Keys that are written or removed between
    /// two pages may be missed; every other one is listed once.
    async fn keys_like(&self, request: KeysLike) -> Result<KeyPage, StateError>;
}

/// The first part of keys, up to and including a separator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPrefix(String);

impl KeyPrefix {
    /// `text`, completed by the separator where it does not end with one.
    ///
    /// # Errors
    /// [`StateError::InvalidRequest`] when it names no part: it would cover everything.
    pub fn new(text: impl Into<String>) -> Result<Self, StateError> {
        let mut text = text.into();
        if !text.ends_with(SEPARATOR) {
            text.push_str(SEPARATOR);
        }
        if text == SEPARATOR {
            let why = "a prefix is required for deleteWithPrefix request";
            return Err(StateError::InvalidRequest(why.into()));
        }
        Ok(Self(text))
    }

    /// Whether `key` starts with the prefix and has one more part.
    #[must_use]
    pub fn covers(&self, key: &str) -> bool {
        let rest = key.strip_prefix(&self.0);
        rest.is_some_and(|rest| !rest.contains(SEPARATOR))
    }
}

/// A page of the keys that fit a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysLike {
    /// What a key has to look like.
    pub pattern: LikePattern,
    /// Where to go on: [`KeyPage::next`] of the page before.
    pub token: Option<String>,
    /// At most this many keys; `None` for all.
    pub page_size: Option<u32>,
}

impl KeysLike {
    /// All keys that fit `pattern`.
    #[must_use]
    pub fn new(pattern: LikePattern) -> Self {
        Self {
            pattern,
            token: None,
            page_size: None,
        }
    }

    /// The page of this request out of every key that fits: for stores that cannot page by themselves. Pages
    /// are in the order of the keys, and the token is the first key of the next page.
    #[must_use]
    pub fn page(&self, mut keys: Vec<String>) -> KeyPage {
        keys.sort_unstable();
        keys.dedup();
        if let Some(token) = &self.token {
            keys.drain(..keys.partition_point(|key| key < token));
        }
        let size = self.page_size.map(|size| size.max(1) as usize);
        let next = size.and_then(|size| keys.get(size).cloned());
        keys.truncate(size.unwrap_or(keys.len()));
        KeyPage { keys, next }
    }
}

/// What [`KeyListing::keys_like`] answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyPage {
    /// The keys of this page.
    pub keys: Vec<String>,
    /// The token of the next page; `None` after the last.
    pub next: Option<String>,
}

/// A pattern of SQL's `LIKE`: `%` for any text, `_` for one character, `\` before a character that stands for
/// itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LikePattern(Vec<Token>);

/// One step of a [`LikePattern`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// Any text, also none.
    Any,
    /// One character.
    One,
    /// This character.
    Literal(char),
}

impl LikePattern {
    /// Reads a pattern; a `\` at its end stands for itself.
    ///
    /// # Errors
    /// [`StateError::InvalidRequest`] for an empty one.
    pub fn parse(text: &str) -> Result<Self, StateError> {
        if text.is_empty() {
            return Err(StateError::InvalidRequest("pattern cannot be empty".into()));
        }
        let mut tokens = Vec::with_capacity(text.len());
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            tokens.push(match character {
                '%' => Token::Any,
                '_' => Token::One,
                '\\' => Token::Literal(characters.next().unwrap_or('\\')),
                other => Token::Literal(other),
            });
        }
        Ok(Self(tokens))
    }

    /// Its steps, for stores with a pattern language of their own.
    #[must_use]
    pub fn tokens(&self) -> &[Token] {
        &self.0
    }

    /// Whether all of `key` fits. Takes at most the product of both lengths in steps.
    #[must_use]
    pub fn matches(&self, key: &str) -> bool {
        let key: Vec<char> = key.chars().collect();
        let (mut step, mut at) = (0, 0);
        // Where to go on when what follows the last `%` does not fit here.
        let mut retry: Option<(usize, usize)> = None;
        while at < key.len() {
            match self.0.get(step) {
                Some(Token::Any) => {
                    retry = Some((step + 1, at));
                    step += 1;
                }
                Some(Token::One) => (step, at) = (step + 1, at + 1),
                Some(Token::Literal(literal)) if *literal == key[at] => {
                    (step, at) = (step + 1, at + 1);
                }
                _ => match retry {
                    Some((after, from)) => {
                        retry = Some((after, from + 1));
                        (step, at) = (after, from + 1);
                    }
                    None => return false,
                },
            }
        }
        self.0[step..].iter().all(|token| *token == Token::Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(pattern: &str, key: &str) -> bool {
        LikePattern::parse(pattern).expect("not empty").matches(key)
    }

    #[test]
    fn patterns_are_those_of_sql() {
        assert!(like("app||%", "app||"));
        assert!(like("app||%", "app||a||b"));
        assert!(!like("app||%", "other||a"));
        assert!(like("%b%d", "abcbd"));
        assert!(!like("%b%d", "abcbde"));
        assert!(like("a_c", "aßc"));
        assert!(!like("a_c", "ac"));
        assert!(like(r"100\%", "100%"));
        assert!(!like(r"100\%", "1000"));
        assert!(like(r"a\", r"a\"));
        assert!(like("a.c*", "a.c*"));
        assert!(!like("a", "aa"));
        assert!(LikePattern::parse("").is_err());
    }

    #[test]
    fn hostile_patterns_take_bounded_time() {
        let pattern = "%a".repeat(200) + "b";
        assert!(!like(&pattern, &"a".repeat(5_000)));
    }

    #[test]
    fn a_prefix_covers_one_more_part() {
        let prefix = KeyPrefix::new("app||type||id").expect("it names parts");
        assert!(prefix.covers("app||type||id||key"));
        assert!(!prefix.covers("app||type||id||key||more"));
        assert!(!prefix.covers("app||type||id2||key"));
        assert_eq!(KeyPrefix::new("a||"), KeyPrefix::new("a"));
        for empty in ["", "||"] {
            assert!(
                KeyPrefix::new(empty).is_err(),
                "{empty:?} covers everything"
            );
        }
    }

    #[test]
    fn pages_follow_each_other_without_gap() {
        let keys: Vec<String> = ["c", "a", "d", "b", "e"].map(String::from).into();
        let mut request = KeysLike::new(LikePattern::parse("%").expect("not empty"));
        request.page_size = Some(2);
        let mut pages = Vec::new();
        loop {
            let page = request.page(keys.clone());
            pages.push(page.keys.concat());
            request.token = page.next;
            if request.token.is_none() {
                break;
            }
        }
        assert_eq!(pages, ["ab", "cd", "e"]);
    }
}
