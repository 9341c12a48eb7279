//! Requests and answers of a state store as messages.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use jiff::Timestamp;
use trilby_components::{
    RequestMetadata, state,
    state::{BulkItem, Concurrency, Consistency, Item, StateError, Ttl, WriteOptions},
};
use trilby_proto::components::v1::{
    BulkStateItem, DeleteRequest, Etag, GetRequest, SetRequest, StateOptions,
    TransactionalStateOperation,
    state_options::{StateConcurrency, StateConsistency},
    transactional_state_operation::Request,
};

/// The metadata of an answer that says when a value disappears: RFC 3339.
const EXPIRY: &str = "ttlExpireTime";
/// The metadata of a request that says what its value is.
const CONTENT_TYPE: &str = "contentType";

pub(super) fn get(request: state::GetRequest) -> GetRequest {
    GetRequest {
        key: request.key,
        metadata: request.metadata.into_iter().collect(),
        consistency: consistency(request.consistency).into(),
    }
}

pub(super) fn set(request: state::SetRequest) -> SetRequest {
    let mut metadata = request.metadata;
    if let Some(ttl) = request.ttl {
        write_ttl(&mut metadata, ttl);
    }
    SetRequest {
        key: request.key,
        value: request.value.bytes().clone(),
        etag: etag(request.etag),
        content_type: metadata.get(CONTENT_TYPE).cloned().unwrap_or_default(),
        metadata: metadata.into_iter().collect(),
        options: Some(options(request.options)),
    }
}

pub(super) fn delete(request: state::DeleteRequest) -> DeleteRequest {
    DeleteRequest {
        key: request.key,
        etag: etag(request.etag),
        metadata: request.metadata.into_iter().collect(),
        options: Some(options(request.options)),
    }
}

pub(super) fn operation(operation: state::Operation) -> TransactionalStateOperation {
    let request = match operation {
        state::Operation::Upsert(request) => Request::Set(set(request)),
        state::Operation::Delete(request) => Request::Delete(delete(request)),
    };
    TransactionalStateOperation {
        request: Some(request),
    }
}

/// Requests of the sidecar itself carry their expiry beside the metadata.
fn write_ttl(metadata: &mut RequestMetadata, ttl: Ttl) {
    let seconds = match ttl {
        Ttl::Never => "-1".to_owned(),
        Ttl::After(time) => time.as_secs().to_string(),
    };
    let given = metadata.entry(Ttl::METADATA_KEY.to_owned());
    given.or_insert(seconds);
}

fn etag(etag: Option<String>) -> Option<Etag> {
    etag.map(|value| Etag { value })
}

fn options(options: WriteOptions) -> StateOptions {
    let concurrency = match options.concurrency {
        Concurrency::Unspecified => StateConcurrency::ConcurrencyUnspecified,
        Concurrency::FirstWrite => StateConcurrency::ConcurrencyFirstWrite,
        Concurrency::LastWrite => StateConcurrency::ConcurrencyLastWrite,
    };
    StateOptions {
        concurrency: concurrency.into(),
        consistency: consistency(options.consistency).into(),
    }
}

fn consistency(consistency: Consistency) -> StateConsistency {
    match consistency {
        Consistency::Unspecified => StateConsistency::ConsistencyUnspecified,
        Consistency::Eventual => StateConsistency::ConsistencyEventual,
        Consistency::Strong => StateConsistency::ConsistencyStrong,
    }
}

/// A value that was read. The messages do not tell one that is empty from none: it is one if it has an etag.
pub(super) fn item(
    value: Bytes,
    etag: Option<Etag>,
    metadata: &HashMap<String, String>,
) -> Option<Item> {
    if value.is_empty() && etag.is_none() {
        return None;
    }
    let expiry = metadata.get(EXPIRY);
    Some(Item {
        value,
        etag: etag.map(|etag| etag.value),
        expires_at: expiry.and_then(|time| time.parse::<Timestamp>().ok()),
    })
}

/// The answers in the order of the keys; a store may answer in another one, and leave out what is not there.
pub(super) fn bulk_items(
    keys: Vec<String>,
    answer: Result<Vec<BulkStateItem>, StateError>,
) -> Vec<BulkItem> {
    let answered = answer.map(|items| {
        let items = items.into_iter().map(|item| (item.key.clone(), item));
        items.collect::<BTreeMap<_, _>>()
    });
    let result = |key: &str| {
        let found = answered.as_ref().map_err(Clone::clone)?.get(key).cloned();
        match found {
            Some(found) if !found.error.is_empty() => Err(StateError::Store(found.error)),
            Some(found) => Ok(item(found.data, found.etag, &found.metadata)),
            None => Ok(None),
        }
    };
    let keys = keys.into_iter();
    keys.map(|key| BulkItem {
        result: result(&key),
        key,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use bytes::Bytes;
    use trilby_components::state::{SetRequest, StateError, Ttl, Value};
    use trilby_proto::components::v1::{BulkStateItem, Etag};

    use super::{bulk_items, item, set};

    fn ttl_of(request: SetRequest) -> Option<String> {
        set(request).metadata.remove("ttlInSeconds")
    }

    #[test]
    fn expiry_travels_in_the_metadata_as_the_caller_wrote_it() {
        let mut request = SetRequest::new("k", Value::Binary(Bytes::new()));
        assert_eq!(ttl_of(request.clone()), None);
        request.ttl = Some(Ttl::After(Duration::from_secs(7)));
        assert_eq!(ttl_of(request.clone()).as_deref(), Some("7"));
        request.ttl = Some(Ttl::Never);
        assert_eq!(ttl_of(request.clone()).as_deref(), Some("-1"));
        let given = ("ttlInSeconds".to_owned(), "0".to_owned());
        request.metadata.extend([given]);
        assert_eq!(ttl_of(request).as_deref(), Some("0"));
    }

    #[test]
    fn nothing_is_told_from_an_empty_value_by_its_etag() {
        let none = HashMap::new();
        assert_eq!(item(Bytes::new(), None, &none), None);
        let etag = || Some(Etag { value: "1".into() });
        let empty = item(Bytes::new(), etag(), &none).expect("it is there");
        assert_eq!(empty.etag.as_deref(), Some("1"));
        let expiry = [(
            "ttlExpireTime".to_owned(),
            "2030-01-02T03:04:05Z".to_owned(),
        )];
        let short = item("v".into(), None, &expiry.into()).expect("it is there");
        assert_eq!(
            short.ttl_expire_time().as_deref(),
            Some("2030-01-02T03:04:05Z")
        );
    }

    #[test]
    fn answers_are_put_in_the_order_of_the_keys() {
        let found = |key: &str, error: &str| BulkStateItem {
            key: key.to_owned(),
            data: Bytes::copy_from_slice(key.as_bytes()),
            error: error.to_owned(),
            ..BulkStateItem::default()
        };
        let keys = ["a", "b", "c", "a"].map(str::to_owned).to_vec();
        let answer = vec![found("c", "broken"), found("a", "")];
        let items = bulk_items(keys, Ok(answer));
        let values: Vec<_> = items
            .iter()
            .map(|item| {
                item.result
                    .as_ref()
                    .map(|item| item.as_ref().map(|one| &one.value[..]))
            })
            .collect();
        let broken = StateError::Store("broken".to_owned());
        assert_eq!(
            values,
            [Ok(Some(&b"a"[..])), Ok(None), Err(&broken), Ok(Some(b"a"))]
        );
    }

    #[test]
    fn a_failure_of_all_is_one_of_each() {
        let away = StateError::Unavailable("away".to_owned());
        let items = bulk_items(vec!["a".into(), "b".into()], Err(away.clone()));
        assert!(items.iter().all(|item| item.result.as_ref() == Err(&away)));
        assert_eq!(items.len(), 2);
    }
}
