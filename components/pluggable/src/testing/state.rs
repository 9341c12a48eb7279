//! The state store.

use std::collections::HashMap;

use tonic::{Code, Request, Response, Status, async_trait};
use trilby_components::state::{
    self, Concurrency, Item, StateError, StateStore as _, Ttl, Value, WriteOptions,
};
use trilby_grpc::{
    rpc::{BadRequest, FieldViolation, pack},
    status::with_details,
};
use trilby_proto::components::v1::{
    BulkDeleteRequest, BulkDeleteResponse, BulkGetRequest, BulkGetResponse, BulkSetRequest,
    BulkSetResponse, BulkStateItem, DeleteRequest, DeleteResponse, Etag, FeaturesRequest,
    FeaturesResponse, GetRequest, GetResponse, InitRequest, InitResponse, MultiMaxSizeRequest,
    MultiMaxSizeResponse, PingRequest, PingResponse, SetRequest, SetResponse, StateOptions,
    TransactionalStateRequest, TransactionalStateResponse, state_store_server::StateStore,
    transactional_state_operation::Request as Step,
    transactional_state_store_server::TransactionalStateStore,
    transactional_store_multi_max_size_server::TransactionalStoreMultiMaxSize,
};

use super::Served;

/// As components say what is wrong with an etag.
fn failed(error: &StateError) -> Status {
    let (code, description) = match error {
        StateError::EtagMismatch(why) => (Code::FailedPrecondition, why),
        StateError::EtagInvalid(why) => (Code::InvalidArgument, why),
        other => return Status::unknown(other.to_string()),
    };
    let violation = FieldViolation {
        field: "etag".to_owned(),
        description: description.clone(),
    };
    let detail = BadRequest {
        field_violations: vec![violation],
    };
    with_details(code, description, vec![pack(&detail)])
}

fn options(options: Option<StateOptions>) -> WriteOptions {
    let concurrency = match options.unwrap_or_default().concurrency {
        1 => Concurrency::FirstWrite,
        2 => Concurrency::LastWrite,
        _ => Concurrency::Unspecified,
    };
    WriteOptions {
        concurrency,
        ..WriteOptions::default()
    }
}

fn set(request: SetRequest) -> Result<state::SetRequest, Status> {
    let metadata = request.metadata.into_iter().collect();
    Ok(state::SetRequest {
        key: request.key,
        value: Value::Binary(request.value),
        etag: request.etag.map(|etag| etag.value),
        options: options(request.options),
        ttl: Ttl::from_metadata(&metadata).map_err(|error| failed(&error))?,
        metadata,
    })
}

fn delete(request: DeleteRequest) -> state::DeleteRequest {
    state::DeleteRequest {
        key: request.key,
        etag: request.etag.map(|etag| etag.value),
        options: options(request.options),
        metadata: request.metadata.into_iter().collect(),
    }
}

fn expiry(item: &Item) -> HashMap<String, String> {
    let expiry = item.ttl_expire_time();
    let expiry = expiry.map(|time| ("ttlExpireTime".to_owned(), time));
    expiry.into_iter().collect()
}

fn etag(item: &Item) -> Option<Etag> {
    let value = item.etag.clone()?;
    Some(Etag { value })
}

impl Served {
    async fn read(&self, key: &str) -> Result<Option<Item>, Status> {
        if let Some(failure) = &self.settings.failure {
            return Err(failure.clone());
        }
        let read = self.settings.state.get(state::GetRequest::new(key)).await;
        read.map_err(|error| failed(&error))
    }
}

#[async_trait]
impl StateStore for Served {
    async fn init(&self, request: Request<InitRequest>) -> Result<Response<InitResponse>, Status> {
        let component = Self::instance(&request);
        let given = request.into_inner().metadata.unwrap_or_default();
        self.initialise(component, given.properties);
        Ok(Response::new(Default::default()))
    }

    async fn features(
        &self,
        _: Request<FeaturesRequest>,
    ) -> Result<Response<FeaturesResponse>, Status> {
        let features = self.settings.features.iter();
        let features = features.map(|one| (*one).to_owned()).collect();
        Ok(Response::new(FeaturesResponse { features }))
    }

    async fn delete(
        &self,
        request: Request<DeleteRequest>,
    ) -> Result<Response<DeleteResponse>, Status> {
        self.check(&request)?;
        let deleted = self.settings.state.delete(delete(request.into_inner()));
        deleted.await.map_err(|error| failed(&error))?;
        Ok(Response::new(Default::default()))
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        self.check(&request)?;
        let Some(item) = self.read(&request.get_ref().key).await? else {
            return Ok(Response::new(Default::default()));
        };
        Ok(Response::new(GetResponse {
            etag: etag(&item),
            metadata: expiry(&item),
            data: item.value,
            content_type: String::new(),
        }))
    }

    async fn set(&self, request: Request<SetRequest>) -> Result<Response<SetResponse>, Status> {
        self.check(&request)?;
        let written = self.settings.state.set(set(request.into_inner())?);
        written.await.map_err(|error| failed(&error))?;
        Ok(Response::new(Default::default()))
    }

    async fn ping(&self, _: Request<PingRequest>) -> Result<Response<PingResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn bulk_delete(
        &self,
        request: Request<BulkDeleteRequest>,
    ) -> Result<Response<BulkDeleteResponse>, Status> {
        self.check(&request)?;
        for item in request.into_inner().items {
            let deleted = self.settings.state.delete(delete(item)).await;
            deleted.map_err(|error| failed(&error))?;
        }
        Ok(Response::new(Default::default()))
    }

    /// Answers in another order, and not about what is not there.
    async fn bulk_get(
        &self,
        request: Request<BulkGetRequest>,
    ) -> Result<Response<BulkGetResponse>, Status> {
        self.check(&request)?;
        let mut items = Vec::new();
        for asked in request.into_inner().items.into_iter().rev() {
            let Some(item) = self.read(&asked.key).await? else {
                continue;
            };
            items.push(BulkStateItem {
                key: asked.key,
                etag: etag(&item),
                metadata: expiry(&item),
                data: item.value,
                ..BulkStateItem::default()
            });
        }
        Ok(Response::new(BulkGetResponse { items }))
    }

    async fn bulk_set(
        &self,
        request: Request<BulkSetRequest>,
    ) -> Result<Response<BulkSetResponse>, Status> {
        self.check(&request)?;
        for item in request.into_inner().items {
            let written = self.settings.state.set(set(item)?).await;
            written.map_err(|error| failed(&error))?;
        }
        Ok(Response::new(Default::default()))
    }
}

#[async_trait]
impl TransactionalStateStore for Served {
    async fn transact(
        &self,
        request: Request<TransactionalStateRequest>,
    ) -> Result<Response<TransactionalStateResponse>, Status> {
        self.check(&request)?;
        let TransactionalStateRequest {
            operations,
            metadata,
        } = request.into_inner();
        let steps = operations.into_iter().filter_map(|one| one.request);
        let steps = steps.map(|step| match step {
            Step::Set(request) => set(request).map(state::Operation::Upsert),
            Step::Delete(request) => Ok(state::Operation::Delete(delete(request))),
        });
        let steps: Vec<_> = steps.collect::<Result<_, _>>()?;
        let transactional = self.settings.state.transactional();
        let transactional = transactional.ok_or_else(|| Status::unimplemented("none"))?;
        let metadata = metadata.into_iter().collect();
        let done = transactional.transact(steps, &metadata).await;
        done.map_err(|error| failed(&error))?;
        Ok(Response::new(Default::default()))
    }
}

#[async_trait]
impl TransactionalStoreMultiMaxSize for Served {
    async fn multi_max_size(
        &self,
        _: Request<MultiMaxSizeRequest>,
    ) -> Result<Response<MultiMaxSizeResponse>, Status> {
        let max_size = self.settings.max_operations;
        Ok(Response::new(MultiMaxSizeResponse { max_size }))
    }
}
