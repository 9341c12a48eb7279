//! Many keys read at once.

use std::collections::HashMap;

use trilby_components::state::{BulkItem, GetRequest, Item, StateError};

/// What was read, by key; an inner error for a value that is not as a sidecar writes it.
pub type Found = HashMap<String, Result<Item, StateError>>;

/// The keys of `requests` that the server can have.
pub fn keys(requests: &[GetRequest], check: impl Fn(&str) -> Result<(), StateError>) -> Vec<&str> {
    let keys = requests.iter().map(|request| request.key.as_str());
    keys.filter(|key| check(key).is_ok()).collect()
}

/// An answer to each of `requests`, in their order.
pub fn answers(
    requests: Vec<GetRequest>,
    check: impl Fn(&str) -> Result<(), StateError>,
    found: &Result<Found, StateError>,
) -> Vec<BulkItem> {
    let answer = |key: String| {
        let result = match (check(&key), found) {
            (Err(error), _) => Err(error),
            (Ok(()), Err(error)) => Err(error.clone()),
            (Ok(()), Ok(found)) => found.get(&key).cloned().transpose(),
        };
        BulkItem { key, result }
    };
    let keys = requests.into_iter().map(|request| request.key);
    keys.map(answer).collect()
}
