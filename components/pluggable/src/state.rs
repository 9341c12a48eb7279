//! A state store that is a process of its own.

mod query;
mod wire;

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::OnceCell;
use tonic::Status;
use trilby_components::{
    RequestMetadata,
    metadata::Metadata,
    registry::{ComponentContext, InitError},
    state::{
        BulkItem, DeleteRequest, Feature, GetRequest, Item, Operation, QueryPage, QueryRequest,
        Queryable, SetRequest, StateError, StateStore, Transactional,
    },
};
use trilby_proto::components::v1::{
    BulkDeleteRequest, BulkGetRequest, BulkGetRequestOptions, BulkSetRequest, FeaturesRequest,
    InitRequest, MetadataRequest, MultiMaxSizeRequest, TransactionalStateRequest,
    queriable_state_store_client::QueriableStateStoreClient, state_store_client::StateStoreClient,
    transactional_state_store_client::TransactionalStateStoreClient,
    transactional_store_multi_max_size_client::TransactionalStoreMultiMaxSizeClient,
};

use crate::{
    connection::Transport,
    errors,
    services::{Service, Services},
    session::{MAX_ANSWER, Properties, Session, limited},
};

/// The features that make something of a difference here, as components call them.
const ETAG: &str = "ETAG";
const TTL: &str = "TTL";
const TRANSACTIONAL: &str = "TRANSACTIONAL";
/// How long a store may take to say how long its transactions may be; upstream's.
const SIZE_LIMIT: Duration = Duration::from_secs(5);

/// The store.
struct PluggableState {
    session: Session,
    features: Vec<Feature>,
    transactional: bool,
    services: Services,
    /// How long transactions may be, once it was asked: before the first one, as upstream does.
    max_operations: OnceCell<Option<usize>>,
}

fn client(transport: Transport) -> StateStoreClient<Transport> {
    StateStoreClient::new(transport).max_decoding_message_size(MAX_ANSWER)
}

async fn init(transport: Transport, properties: Properties) -> Result<(), Status> {
    let request = InitRequest {
        metadata: Some(MetadataRequest { properties }),
    };
    client(transport).init(request).await.map(drop)
}

/// Connects and initialises the store.
///
/// # Errors
/// Its process is away, or refuses.
pub(crate) async fn create(
    socket: PathBuf,
    services: Services,
    context: ComponentContext,
    metadata: Metadata,
) -> Result<Arc<dyn StateStore>, InitError> {
    let start = Session::start(socket, (&context.name, &metadata), |transport, given| {
        Box::pin(init(transport, given))
    });
    let session = start.await?;
    let said = session
        .call(async |transport| {
            client(transport)
                .features(limited(FeaturesRequest {}))
                .await
        })
        .await
        .map_err(|status| errors::init(&status))?
        .features;
    let has = |name: &str| said.iter().any(|one| one == name);
    let features = [(ETAG, Feature::Etag), (TTL, Feature::Ttl)];
    Ok(Arc::new(PluggableState {
        session,
        features: features
            .into_iter()
            .filter_map(|(name, feature)| has(name).then_some(feature))
            .collect(),
        transactional: has(TRANSACTIONAL),
        services,
        max_operations: OnceCell::new(),
    }))
}

/// One answer for many requests.
fn each(count: usize, answer: Result<(), StateError>) -> Vec<Result<(), StateError>> {
    vec![answer; count]
}

#[async_trait]
impl StateStore for PluggableState {
    fn features(&self) -> &[Feature] {
        &self.features
    }

    async fn get(&self, request: GetRequest) -> Result<Option<Item>, StateError> {
        let request = wire::get(request);
        let answer = self
            .session
            .call(async |transport| client(transport).get(limited(request.clone())).await);
        let answer = answer.await.map_err(|status| errors::state(&status))?;
        Ok(wire::item(answer.data, answer.etag, &answer.metadata))
    }

    async fn set(&self, request: SetRequest) -> Result<(), StateError> {
        let request = wire::set(request);
        let answer = self
            .session
            .call(async |transport| client(transport).set(limited(request.clone())).await);
        answer.await.map_err(|status| errors::state(&status))?;
        Ok(())
    }

    async fn delete(&self, request: DeleteRequest) -> Result<(), StateError> {
        let request = wire::delete(request);
        let answer = self
            .session
            .call(async |transport| client(transport).delete(limited(request.clone())).await);
        answer.await.map_err(|status| errors::state(&status))?;
        Ok(())
    }

    async fn bulk_get(&self, requests: Vec<GetRequest>, parallelism: usize) -> Vec<BulkItem> {
        let keys: Vec<String> = requests.iter().map(|one| one.key.clone()).collect();
        let request = BulkGetRequest {
            items: requests.into_iter().map(wire::get).collect(),
            options: Some(BulkGetRequestOptions {
                parallelism: i64::try_from(parallelism).unwrap_or(i64::MAX),
            }),
        };
        let answer = self
            .session
            .call(async |transport| client(transport).bulk_get(limited(request.clone())).await);
        let answer = answer.await.map_err(|status| errors::state(&status));
        wire::bulk_items(keys, answer.map(|answer| answer.items))
    }

    async fn bulk_set(&self, requests: Vec<SetRequest>) -> Vec<Result<(), StateError>> {
        let count = requests.len();
        let request = BulkSetRequest {
            items: requests.into_iter().map(wire::set).collect(),
            options: None,
        };
        let answer = self
            .session
            .call(async |transport| client(transport).bulk_set(limited(request.clone())).await);
        let answer = answer.await.map_err(|status| errors::state(&status));
        each(count, answer.map(drop))
    }

    async fn bulk_delete(&self, requests: Vec<DeleteRequest>) -> Vec<Result<(), StateError>> {
        let count = requests.len();
        let request = BulkDeleteRequest {
            items: requests.into_iter().map(wire::delete).collect(),
            options: None,
        };
        let answer = self.session.call(async |transport| {
            client(transport)
                .bulk_delete(limited(request.clone()))
                .await
        });
        let answer = answer.await.map_err(|status| errors::bulk_delete(&status));
        each(count, answer.map(drop))
    }

    fn transactional(&self) -> Option<&dyn Transactional> {
        self.transactional.then_some(self as _)
    }

    fn queryable(&self) -> Option<&dyn Queryable> {
        self.services
            .contains(&Service::Queries)
            .then_some(self as _)
    }

    async fn close(&self) {
        self.session.close();
    }
}

#[async_trait]
impl Transactional for PluggableState {
    async fn transact(
        &self,
        operations: Vec<Operation>,
        metadata: &RequestMetadata,
    ) -> Result<(), StateError> {
        let request = TransactionalStateRequest {
            operations: operations.into_iter().map(wire::operation).collect(),
            metadata: metadata.clone().into_iter().collect(),
        };
        let ask = async |transport| {
            let mut client = TransactionalStateStoreClient::new(transport);
            client.transact(limited(request.clone())).await
        };
        let answer = self.session.call(ask).await;
        answer.map_err(|status| errors::state(&status))?;
        Ok(())
    }

    async fn max_operations(&self) -> Option<usize> {
        if !self.services.contains(&Service::TransactionSize) {
            return None;
        }
        let ask = async |transport| {
            let mut client = TransactionalStoreMultiMaxSizeClient::new(transport);
            client.multi_max_size(limited(MultiMaxSizeRequest {})).await
        };
        let asked = self.max_operations.get_or_try_init(async || {
            let answer = tokio::time::timeout(SIZE_LIMIT, self.session.call(ask)).await;
            let answer = answer.map_err(|_| Status::deadline_exceeded("it took too long"))??;
            // None at all, or less, is no limit.
            Ok::<_, Status>(
                usize::try_from(answer.max_size)
                    .ok()
                    .filter(|most| *most > 0),
            )
        });
        match asked.await {
            Ok(most) => *most,
            Err(error) => {
                tracing::warn!(%error, "a pluggable state store does not say how long its transactions may be");
                None
            }
        }
    }
}

#[async_trait]
impl Queryable for PluggableState {
    async fn query(&self, request: QueryRequest) -> Result<QueryPage, StateError> {
        let (prefix, request) = query::request(request);
        let ask = async |transport| {
            let client = QueriableStateStoreClient::new(transport);
            let mut client = client.max_decoding_message_size(MAX_ANSWER);
            client.query(limited(request.clone())).await
        };
        let answer = self.session.call(ask).await;
        let answer = answer.map_err(|status| errors::state(&status))?;
        Ok(query::page(&prefix, answer))
    }
}
