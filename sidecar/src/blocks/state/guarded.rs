//! A state store under its policy.

use std::future::Future;

use parking_lot::Mutex;
use trilby_components::RequestMetadata;
use trilby_components::state::{
    BulkItem, DeleteRequest, GetRequest, Item, Operation, QueryPage, QueryRequest, Queryable,
    SetRequest, StateError, StateStore, Transactional,
};
use trilby_resiliency::{ComponentKind, Direction, Policy, Resiliency};

use crate::blocks::guarded::{Request, guarded};

/// One operation's view of a store.
pub(super) struct Guarded<'a> {
    pub(super) store: &'a dyn StateStore,
    pub(super) name: &'a str,
    pub(super) resiliency: &'a Resiliency,
}

impl Guarded<'_> {
    pub(super) async fn get(&self, request: GetRequest) -> Result<Option<Item>, StateError> {
        let policy = self.policy();
        let mut request = Request::new(request, policy.as_ref());
        guarded(policy, || self.store.get(request.next())).await
    }

    pub(super) async fn set(&self, request: SetRequest) -> Result<(), StateError> {
        let policy = self.policy();
        let mut request = Request::new(request, policy.as_ref());
        guarded(policy, || self.store.set(request.next())).await
    }

    pub(super) async fn delete(&self, request: DeleteRequest) -> Result<(), StateError> {
        let policy = self.policy();
        let mut request = Request::new(request, policy.as_ref());
        guarded(policy, || self.store.delete(request.next())).await
    }

    pub(super) async fn bulk_set(&self, requests: Vec<SetRequest>) -> Result<(), StateError> {
        let write = |requests| self.store.bulk_set(requests);
        each(self.policy(), requests, write).await
    }

    pub(super) async fn bulk_delete(&self, requests: Vec<DeleteRequest>) -> Result<(), StateError> {
        let remove = |requests| self.store.bulk_delete(requests);
        each(self.policy(), requests, remove).await
    }

    /// Failures are part of the answer; to a policy the read failed if one of them may pass.
    pub(super) async fn bulk_get(
        &self,
        requests: Vec<GetRequest>,
        parallelism: usize,
    ) -> Vec<BulkItem> {
        let Some(policy) = self.policy() else {
            return self.store.bulk_get(requests, parallelism).await;
        };
        let answered = Mutex::new(None);
        let attempt = || async {
            let items = self.store.bulk_get(requests.clone(), parallelism).await;
            let failures = items.iter().filter_map(|item| item.result.as_ref().err());
            let failure = failures
                .filter(|failure| !failure.is_final())
                .last()
                .cloned();
            *answered.lock() = Some(items);
            failure.map_or(Ok(()), Err)
        };
        let result = guarded(Some(policy), attempt).await;
        let answered = answered.into_inner();
        match (result, answered) {
            (_, Some(items)) => items,
            (result, None) => {
                let why = result.err().map_or_else(String::new, |why| why.to_string());
                let failed = |request: GetRequest| BulkItem {
                    key: request.key,
                    result: Err(StateError::Unavailable(why.clone())),
                };
                requests.into_iter().map(failed).collect()
            }
        }
    }

    pub(super) async fn transact(
        &self,
        transactional: &dyn Transactional,
        operations: Vec<Operation>,
        metadata: &RequestMetadata,
    ) -> Result<(), StateError> {
        let policy = self.policy();
        let mut operations = Request::new(operations, policy.as_ref());
        guarded(policy, || {
            transactional.transact(operations.next(), metadata)
        })
        .await
    }

    pub(super) async fn query(
        &self,
        queryable: &dyn Queryable,
        request: QueryRequest,
    ) -> Result<QueryPage, StateError> {
        let policy = self.policy();
        let mut request = Request::new(request, policy.as_ref());
        guarded(policy, || queryable.query(request.next())).await
    }

    fn policy(&self) -> Option<Policy> {
        let policies = self.resiliency.policies();
        policies.component(self.name, ComponentKind::StateStore, Direction::Outbound)
    }
}

/// Requests that fail on their own: only those that may yet succeed are made again.
async fn each<R: Clone, F>(
    policy: Option<Policy>,
    requests: Vec<R>,
    write: impl Fn(Vec<R>) -> F,
) -> Result<(), StateError>
where
    F: Future<Output = Vec<Result<(), StateError>>>,
{
    if policy.is_none() {
        return write(requests).await.into_iter().collect();
    }
    let left = Mutex::new((requests, None));
    let attempt = || async {
        let requests = left.lock().0.clone();
        let results = write(requests.clone()).await;
        let mut left = left.lock();
        left.0.clear();
        let mut passing = None;
        for (request, result) in requests.into_iter().zip(results) {
            match result {
                Ok(()) => {}
                Err(failure) if failure.is_final() => drop(left.1.get_or_insert(failure)),
                Err(failure) => {
                    left.0.push(request);
                    passing = Some(failure);
                }
            }
        }
        match (passing, &left.1) {
            (Some(passing), _) => Err(passing),
            (None, Some(lasting)) => Err(lasting.clone()),
            (None, None) => Ok(()),
        }
    };
    guarded(policy, attempt).await
}

#[cfg(test)]
mod tests;
