//! Keys by their pattern, in the order of the rows' numbers: a page is what comes after a number.

use trilby_components::state::{KeyPage, KeysLike, LikePattern, StateError, Token};

/// Which keys are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// A pattern of `LIKE`, with `\` before what stands for itself.
    pub pattern: String,
    /// The number of the last row before the page; `None` before the first.
    pub after: Option<i64>,
    /// `None` for all.
    size: Option<usize>,
}

impl Page {
    /// # Errors
    /// The token is none of these stores'.
    pub fn new(request: &KeysLike) -> Result<Self, StateError> {
        let after = match request.token.as_deref() {
            None | Some("") => Ok(None),
            Some(token) => token.parse().map(Some),
        };
        let size = request.page_size.map(|size| size.max(1) as usize);
        Ok(Self {
            pattern: like(&request.pattern),
            after: after.map_err(|_| {
                StateError::InvalidRequest("invalid continue token: it is no number".to_owned())
            })?,
            size,
        })
    }

    /// How many rows are to be read: one more than the page has, which says whether there is a next one.
    #[must_use]
    pub fn rows(&self) -> Option<i64> {
        let rows = self.size.map(|size| i64::try_from(size + 1));
        rows.map(|rows| rows.unwrap_or(i64::MAX))
    }

    /// The answer, out of the keys that were read with the numbers of their rows.
    #[must_use]
    pub fn of(&self, mut rows: Vec<(String, i64)>) -> KeyPage {
        let size = self.size.unwrap_or(rows.len());
        let more = rows.len() > size;
        rows.truncate(size);
        let last = rows.last().filter(|_| more);
        let next = last.map(|(_, number)| number.to_string());
        let keys = rows.into_iter().map(|(key, _)| key).collect();
        KeyPage { keys, next }
    }
}

/// A text as a pattern of `LIKE` that fits it only.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    text.chars().for_each(|plain| push(&mut pattern, plain));
    pattern
}

/// The pattern in the words of `LIKE`.
fn like(pattern: &LikePattern) -> String {
    let mut text = String::new();
    for token in pattern.tokens() {
        match token {
            Token::Any => text.push('%'),
            Token::One => text.push('_'),
            Token::Literal(plain) => push(&mut text, *plain),
        }
    }
    text
}

/// A character that stands for itself.
fn push(pattern: &mut String, plain: char) {
    if matches!(plain, '%' | '_' | '\\') {
        pattern.push('\\');
    }
    pattern.push(plain);
}

#[cfg(test)]
mod tests {
    use trilby_components::state::{KeysLike, LikePattern};

    use super::Page;

    fn request(pattern: &str, token: Option<&str>) -> KeysLike {
        let mut request = KeysLike::new(LikePattern::parse(pattern).unwrap());
        request.token = token.map(str::to_owned);
        request
    }

    #[test]
    fn patterns_are_the_servers() {
        for (pattern, expected) in [(r"a||%", "a||%"), (r"a\_b_", r"a\_b_"), (r"a\", r"a\\")] {
            let page = Page::new(&request(pattern, None)).unwrap();
            assert_eq!(page.pattern, expected);
        }
        assert_eq!(Page::new(&request("%", Some("7"))).unwrap().after, Some(7));
        assert!(Page::new(&request("%", Some("x"))).is_err());
    }

    #[test]
    fn one_row_too_many_means_another_page() {
        let mut asked = request("%", None);
        asked.page_size = Some(2);
        let page = Page::new(&asked).unwrap();
        assert_eq!(page.rows(), Some(3));
        let rows = |count| (1..=count).map(|row| (format!("key-{row}"), row)).collect();
        let full = page.of(rows(3));
        assert_eq!((full.keys.len(), full.next.as_deref()), (2, Some("2")));
        let last = page.of(rows(2));
        assert_eq!((last.keys.len(), last.next), (2, None));
        assert_eq!(page.of(rows(0)).next, None);
    }
}
