//! A store whose values are all JSON documents, whatever they were.

use async_trait::async_trait;
use bytes::Bytes;
use trilby_components::RequestMetadata;
use trilby_components::conformance::state::calls::Store;
use trilby_components::state::{
    DeleteRequest, Feature, GetRequest, Item, KeyListing, Operation, Queryable, SetRequest,
    StateError, StateStore, Transactional, Value,
};

/// Bytes are a string of JSON here; JSON stays what it is.
pub(crate) struct AsDocuments(pub(crate) Store);

fn marked(mut metadata: RequestMetadata) -> RequestMetadata {
    metadata.insert("contentType".into(), "application/json".into());
    metadata
}

fn set_of(mut request: SetRequest) -> SetRequest {
    request.metadata = marked(request.metadata);
    if let Value::Binary(bytes) = &request.value {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        request.value = Value::Json(format!("\"{digits}\"").into());
    }
    request
}

fn delete_of(mut request: DeleteRequest) -> DeleteRequest {
    request.metadata = marked(request.metadata);
    request
}

fn item_of(item: Item) -> Item {
    let digits = item.value.strip_prefix(b"\"");
    let Some(digits) = digits.and_then(|rest| rest.strip_suffix(b"\"")) else {
        return item;
    };
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).unwrap();
        u8::from_str_radix(pair, 16).unwrap()
    };
    let value: Bytes = digits.chunks(2).map(byte).collect();
    Item { value, ..item }
}

#[async_trait]
impl StateStore for AsDocuments {
    fn features(&self) -> &[Feature] {
        self.0.features()
    }

    async fn get(&self, mut request: GetRequest) -> Result<Option<Item>, StateError> {
        request.metadata = marked(request.metadata);
        Ok(self.0.get(request).await?.map(item_of))
    }

    async fn set(&self, request: SetRequest) -> Result<(), StateError> {
        self.0.set(set_of(request)).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<(), StateError> {
        self.0.delete(delete_of(request)).await
    }

    fn transactional(&self) -> Option<&dyn Transactional> {
        Some(self)
    }

    fn key_listing(&self) -> Option<&dyn KeyListing> {
        self.0.key_listing()
    }

    fn queryable(&self) -> Option<&dyn Queryable> {
        self.0.queryable()
    }
}

#[async_trait]
impl Transactional for AsDocuments {
    async fn transact(
        &self,
        operations: Vec<Operation>,
        metadata: &RequestMetadata,
    ) -> Result<(), StateError> {
        let operations = operations.into_iter().map(|operation| match operation {
            Operation::Upsert(set) => Operation::Upsert(set_of(set)),
            Operation::Delete(delete) => Operation::Delete(delete_of(delete)),
        });
        let transactional = self.0.transactional().unwrap();
        transactional.transact(operations.collect(), metadata).await
    }
}
