//! Keys by what they look like.
//!
//! Keys are read in their order, as they were when the page was begun, from where the pattern or the page before it
//! starts. A token is the first key of the next page.

use bytes::Bytes;
use trilby_components::state::{KeyPage, KeysLike, LikePattern, StateError, Token};

use crate::link::Link;
use crate::wire::{RangeRequest, RangeResponse};

/// How many keys are read at once.
const STRIDE: i64 = 1_024;

/// One page.
pub(super) async fn page(
    link: &Link,
    prefix: &str,
    request: &KeysLike,
) -> Result<KeyPage, StateError> {
    let literal = format!("{prefix}{}", literal(&request.pattern));
    let end = after_all(&literal);
    let token = request.token.as_ref();
    let mut start = literal.clone();
    if let Some(token) = token.map(|token| format!("{prefix}{token}")) {
        start = start.max(token);
    }
    let mut next: Bytes = start.into();
    let size = request.page_size.map(|size| size.max(1) as usize);
    let mut page = KeyPage::default();
    let mut revision = 0;
    loop {
        let range = RangeRequest {
            key: next,
            range_end: end.clone(),
            limit: STRIDE,
            revision,
            keys_only: true,
        };
        let RangeResponse { header, kvs, more } = link.call(range).await?;
        revision = header.map_or(revision, |header| header.revision);
        for found in &kvs {
            let Some(key) = fitting(&found.key, prefix, &request.pattern) else {
                continue;
            };
            if size == Some(page.keys.len()) {
                page.next = Some(key.to_owned());
                return Ok(page);
            }
            page.keys.push(key.to_owned());
        }
        match kvs.last() {
            Some(last) if more => next = right_after(&last.key),
            _ => return Ok(page),
        }
    }
}

/// The key of ours that is at `path`, if it fits. What is no text is nobody's of ours.
fn fitting<'a>(path: &'a [u8], prefix: &str, pattern: &LikePattern) -> Option<&'a str> {
    let key = std::str::from_utf8(path).ok()?.strip_prefix(prefix)?;
    pattern.matches(key).then_some(key)
}

/// What every key that fits begins with.
fn literal(pattern: &LikePattern) -> String {
    let literals = pattern.tokens().iter().map_while(|token| match token {
        Token::Literal(character) => Some(*character),
        Token::Any | Token::One => None,
    });
    literals.collect()
}

/// The smallest path after `path`.
fn right_after(path: &[u8]) -> Bytes {
    [path, &[0]].concat().into()
}

/// The smallest path after all that begin with `prefix`, which is text and so has no byte 255.
fn after_all(prefix: &str) -> Bytes {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_fit_is_read() {
        for (pattern, expected) in [
            ("app||%", "app||"),
            (r"a\%b_c", "a%b"),
            ("%", ""),
            ("exact", "exact"),
        ] {
            let pattern = LikePattern::parse(pattern).unwrap();
            assert_eq!(literal(&pattern), expected);
        }
        assert_eq!(&after_all("a/")[..], b"a0");
        assert_eq!(&right_after(b"a")[..], b"a\0");
    }

    #[test]
    fn what_is_not_ours_does_not_fit() {
        let pattern = LikePattern::parse("%").unwrap();
        assert_eq!(fitting(b"x/key", "x/", &pattern), Some("key"));
        assert_eq!(fitting(b"y/key", "x/", &pattern), None);
        assert_eq!(fitting(b"x/\xff", "x/", &pattern), None);
    }
}
