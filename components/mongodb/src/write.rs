//! An operation as guarded updates of one document.

use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};
use trilby_components::state::{SetRequest, StateError, Ttl, Value};
use uuid::Uuid;

use crate::value;

/// The fields of a document beside its key, `_id`.
pub(crate) const VALUE: &str = "value";
pub(crate) const ETAG: &str = "_etag";
pub(crate) const TTL: &str = "_ttl";

/// Request metadata that says that bytes are JSON.
const CONTENT_TYPE: &str = "contentType";
const JSON: &str = "application/json";

/// The document of `key`, whether its time is over or not.
pub(crate) fn any(key: &str) -> Document {
    doc! { "_id": key }
}

/// That a document's time is not over, by the server's clock: it removes those whose is up to a minute later. Moments
/// are compared as numbers: servers of MongoDB's protocol do not all compare `$$NOW` itself.
pub(crate) fn lives() -> Document {
    doc! { "$expr": { "$or": [
        { "$eq": [{ "$ifNull": ["$_ttl", Bson::Null] }, Bson::Null] },
        { "$gte": [{ "$toLong": "$_ttl" }, { "$toLong": "$$NOW" }] },
    ] } }
}

/// That its time is over.
fn is_over() -> Document {
    doc! { "$expr": { "$and": [
        { "$ne": [{ "$ifNull": ["$_ttl", Bson::Null] }, Bson::Null] },
        { "$lt": [{ "$toLong": "$_ttl" }, { "$toLong": "$$NOW" }] },
    ] } }
}

/// The document of `key` if it lives.
pub(crate) fn living(key: &str) -> Document {
    doc! { "$and": [any(key), lives()] }
}

/// The document of `key` if its time is over.
pub(crate) fn over(key: &str) -> Document {
    doc! { "$and": [any(key), is_over()] }
}

/// The document of `key` if it lives and has this etag.
pub(crate) fn current(key: &str, etag: &str) -> Document {
    doc! { "$and": [{ "_id": key, ETAG: etag }, lives()] }
}

/// No document of `key`: none has this etag. An update of it creates one, or meets the one that is there.
pub(crate) fn absent(key: &str) -> Document {
    doc! { "_id": key, ETAG: Uuid::new_v4().to_string() }
}

/// The update that writes a value. What is written stands for itself: unquoted, `$` at its start would be a command.
pub(crate) fn update(value: Bson, ttl: Option<Ttl>) -> Vec<Document> {
    let expiry = match ttl.and_then(milliseconds) {
        Some(milliseconds) => Bson::Document(doc! { "$add": ["$$NOW", milliseconds] }),
        None => Bson::Null,
    };
    let written = doc! {
        VALUE: { "$literal": value },
        ETAG: Uuid::new_v4().to_string(),
        TTL: expiry,
    };
    vec![doc! { "$set": written }]
}

fn milliseconds(ttl: Ttl) -> Option<i64> {
    match ttl {
        Ttl::Never => None,
        Ttl::After(life) => Some(whole_milliseconds(life)),
    }
}

fn whole_milliseconds(life: Duration) -> i64 {
    i64::try_from(life.as_millis()).unwrap_or(i64::MAX)
}

/// A single value.
pub(crate) fn single(set: &SetRequest) -> Bson {
    value::encode(&set.value)
}

/// A value of a transaction: as upstream has it, bytes that are said to be JSON are a document there.
///
/// # Errors
/// They are no JSON.
pub(crate) fn of_transaction(set: &SetRequest) -> Result<Bson, StateError> {
    let said_json = set
        .metadata
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind == JSON);
    match &set.value {
        Value::Binary(bytes) if said_json => {
            let json: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(bytes);
            json.map_err(|error| {
                let key = &set.key;
                StateError::InvalidRequest(format!("MongoDB: key {key}: it is no JSON: {error}"))
            })?;
            Ok(value::encode(&Value::Json(bytes.clone())))
        }
        value => Ok(value::encode(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_no_command() {
        let update = update(Bson::String("$_id".into()), None);
        let set = update[0].get_document("$set").unwrap();
        assert_eq!(
            set.get_document(VALUE).unwrap(),
            &doc! { "$literal": "$_id" }
        );
        assert_eq!(set.get(TTL), Some(&Bson::Null));
    }

    #[test]
    fn bytes_of_a_transaction_may_be_said_to_be_json() {
        let mut set = SetRequest::new("a", Value::Binary("{\"a\":1}".into()));
        assert!(matches!(of_transaction(&set), Ok(Bson::String(_))));
        set.metadata
            .insert("contentType".into(), "application/json".into());
        assert!(matches!(of_transaction(&set), Ok(Bson::Document(_))));
        set.value = Value::Binary("{".into());
        let refused = of_transaction(&set).unwrap_err();
        assert!(
            matches!(refused, StateError::InvalidRequest(_)),
            "{refused}"
        );
    }
}
