//! Keys by what they look like, in their order. A token is the last key of the page before.

use futures_util::TryStreamExt as _;
use mongodb::bson::{Document, doc};
use trilby_components::state::{KeyPage, KeysLike, LikePattern, StateError, Token};

use super::MongoState;
use crate::write;

impl MongoState {
    /// One page.
    pub(super) async fn page(&self, request: &KeysLike) -> Result<KeyPage, StateError> {
        let fitting = doc! { "_id": { "$regex": expression(&request.pattern), "$options": "s" } };
        let mut conditions = vec![fitting, write::lives()];
        if let Some(token) = &request.token {
            conditions.push(doc! { "_id": { "$gt": token } });
        }
        let size = request.page_size.map(|size| size.max(1) as usize);
        self.within(async {
            let mut action = self
                .collection
                .find(doc! { "$and": conditions })
                .sort(doc! { "_id": 1 })
                .projection(doc! { "_id": 1 });
            if let Some(size) = size {
                action = action.limit(i64::try_from(size).unwrap_or(i64::MAX).saturating_add(1));
            }
            let found: Vec<Document> = action.await?.try_collect().await?;
            let keys = found.iter().filter_map(|one| one.get_str("_id").ok());
            let mut keys: Vec<String> = keys.map(str::to_owned).collect();
            let more = size.is_some_and(|size| keys.len() > size);
            keys.truncate(size.unwrap_or(keys.len()));
            let next = keys.last().filter(|_| more).cloned();
            Ok(KeyPage { keys, next })
        })
        .await
    }
}

/// The pattern as a regular expression, in which `.` is any character.
fn expression(pattern: &LikePattern) -> String {
    let mut text = String::from("^");
    for token in pattern.tokens() {
        match token {
            Token::Any => text.push_str(".*"),
            Token::One => text.push('.'),
            Token::Literal(literal) => push_literally(&mut text, *literal),
        }
    }
    // Unlike `$`, not before a line's end.
    text.push_str("(?![\\s\\S])");
    text
}

/// A regular expression of this text and nothing else.
pub(super) fn literally(text: &str) -> String {
    let mut expression = String::with_capacity(text.len());
    let each = text.chars();
    each.for_each(|literal| push_literally(&mut expression, literal));
    expression
}

/// Adds a character that stands for itself to a regular expression.
fn push_literally(expression: &mut String, literal: char) {
    match literal {
        '\0' => expression.push_str("\\x00"),
        literal if literal.is_ascii_punctuation() => expression.extend(['\\', literal]),
        literal => expression.push(literal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_stand_for_themselves() {
        let pattern = LikePattern::parse(r"a.b*\_||%ß_").unwrap();
        assert_eq!(expression(&pattern), r"^a\.b\*\_\|\|.*ß.(?![\s\S])");
    }
}
