//! State of actors: keys below the actor's own, written together.

mod guarded;

use trilby_components::state::{GetRequest, Item, NamedStore, Operation, Ttl};
use trilby_resiliency::{ComponentKind, Direction, Policy, Resiliency};

use crate::{ActorError, ActorKey};
use guarded::guarded;

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
    pub(crate) store: NamedStore,
    pub(crate) resiliency: &'a Resiliency,
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
        let read = guarded(self.policy(), request, |request| {
            self.store.store.get(request)
        });
        read.await.map_err(ActorError::StateGet)
    }

    pub(crate) async fn transact(
        &self,
        operations: Vec<Operation>,
        ttl: StateTtl,
    ) -> Result<(), ActorError> {
        let failed = |reason: String| ActorError::StateTransaction(reason);
        let store = self
            .store
            .store
            .transactional()
            .ok_or(ActorError::NoStateStore)?;
        if store
            .max_operations()
            .await
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
        let write = guarded(self.policy(), operations.map_err(failed)?, |operations| {
            store.transact(operations, &metadata)
        });
        write.await.map_err(failed)
    }

    fn policy(&self) -> Option<Policy> {
        let policies = self.resiliency.policies();
        policies.component(
            &self.store.name,
            ComponentKind::StateStore,
            Direction::Outbound,
        )
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
mod tests;
