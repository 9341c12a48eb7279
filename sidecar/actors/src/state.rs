//! State of actors: keys below the actor's own, written together.

use std::sync::Arc;

use trilby_components::state::{GetRequest, Item, Operation, StateStore, Ttl};

use crate::{ActorError, ActorKey};

/// The metadata by which stores that partition keep an actor's keys together.
const PARTITION_KEY: &str = "partitionKey";

/// Whether keys of actors may expire: the feature gate `ActorStateTTL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StateTtl {
    /// A write that asks for it is refused.
    #[default]
    Refused,
    /// A write may ask for it.
    Allowed,
}

/// The keys of one actor in one store.
pub(crate) struct ActorState<'a> {
    pub(crate) store: Arc<dyn StateStore>,
    pub(crate) app_id: &'a str,
    pub(crate) actor: &'a ActorKey,
}

// === impl ActorState ===

impl ActorState<'_> {
    pub(crate) async fn get(&self, key: &str) -> Result<Option<Item>, ActorError> {
        let mut request = GetRequest::new(self.key(key));
        request
            .metadata
            .insert(PARTITION_KEY.to_owned(), self.partition());
        let item = self.store.get(request).await;
        item.map_err(|error| ActorError::StateGet(error.to_string()))
    }

    pub(crate) async fn transact(
        &self,
        operations: Vec<Operation>,
        ttl: StateTtl,
    ) -> Result<(), ActorError> {
        let failed = |reason: String| ActorError::StateTransaction(reason);
        let store = self.store.transactional().ok_or(ActorError::NoStateStore)?;
        if store
            .max_operations()
            .is_some_and(|most| operations.len() > most)
        {
            let reason =
                "the transaction contains more operations than supported by the state store";
            return Err(failed(reason.to_owned()));
        }
        let operations: Result<Vec<_>, _> = operations
            .into_iter()
            .map(|operation| self.placed(operation, ttl))
            .collect();
        let metadata = [(PARTITION_KEY.to_owned(), self.partition())].into();
        let written = store.transact(operations.map_err(failed)?, &metadata).await;
        written.map_err(|error| failed(error.to_string()))
    }

    fn placed(&self, operation: Operation, ttl: StateTtl) -> Result<Operation, String> {
        Ok(match operation {
            Operation::Upsert(mut request) => {
                if matches!(request.ttl, Some(Ttl::After(_))) && ttl == StateTtl::Refused {
                    return Err(r#"ttlInSeconds is not supported without the "ActorStateTTL" feature enabled"#.into());
                }
                request.key = self.key(&request.key);
                request
                    .metadata
                    .insert(PARTITION_KEY.to_owned(), self.partition());
                Operation::Upsert(request)
            }
            Operation::Delete(mut request) => {
                request.key = self.key(&request.key);
                request
                    .metadata
                    .insert(PARTITION_KEY.to_owned(), self.partition());
                Operation::Delete(request)
            }
        })
    }

    fn key(&self, key: &str) -> String {
        format!("{}||{}||{key}", self.app_id, self.actor)
    }

    fn partition(&self) -> String {
        format!("{}||{}", self.app_id, self.actor)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use trilby_components::in_memory;
    use trilby_components::state::{SetRequest, Value};

    use super::*;

    fn upsert(key: &str, ttl: Option<Ttl>) -> Operation {
        let value = Value::Binary(Bytes::from_static(b"1"));
        Operation::Upsert(SetRequest {
            ttl,
            ..SetRequest::new(key, value)
        })
    }

    #[tokio::test]
    async fn keys_stand_below_app_type_and_id() {
        let store: Arc<dyn StateStore> = Arc::new(in_memory::InMemoryState::default());
        let actor = ActorKey::new("cat", "1");
        let state = ActorState {
            store: Arc::clone(&store),
            app_id: "app",
            actor: &actor,
        };
        state
            .transact(vec![upsert("mood", None)], StateTtl::Refused)
            .await
            .unwrap();
        assert_eq!(state.get("mood").await.unwrap().unwrap().value, "1");
        assert!(
            store
                .get(GetRequest::new("app||cat||1||mood"))
                .await
                .unwrap()
                .is_some()
        );
    }

    #[tokio::test]
    async fn expiry_needs_its_feature() {
        let actor = ActorKey::new("cat", "1");
        let store: Arc<dyn StateStore> = Arc::new(in_memory::InMemoryState::default());
        let state = ActorState {
            store,
            app_id: "app",
            actor: &actor,
        };
        let expiring = || vec![upsert("mood", Some(Ttl::from_seconds(9)))];
        let error = state
            .transact(expiring(), StateTtl::Refused)
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "error saving actor transaction state: ttlInSeconds is not supported without the \
             \"ActorStateTTL\" feature enabled"
        );
        state.transact(expiring(), StateTtl::Allowed).await.unwrap();
    }
}
