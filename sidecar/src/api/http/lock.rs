//! Locks over HTTP.

use axum::body::Body;
use http::Request;
use serde::{Deserialize, Serialize};

use super::HttpApi;
use super::proto_json::{decode, int32, text};
use super::respond::{HttpResponse, failed, json};
use super::route::LockRoute;
use super::service::body_of;
use crate::api::grpc::unlock_status;
use crate::blocks::lock::Subject;
use crate::error::ApiError;

/// The body of either request; unlocking takes no time.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Asked {
    #[serde(alias = "resource_id", deserialize_with = "text")]
    resource_id: String,
    #[serde(alias = "lock_owner", deserialize_with = "text")]
    lock_owner: String,
    #[serde(alias = "expiry_in_seconds", deserialize_with = "int32")]
    expiry_in_seconds: i32,
}

#[derive(Debug, Serialize)]
struct Taken {
    success: bool,
}

#[derive(Debug, Serialize)]
struct Released {
    /// The number of the status.
    status: i32,
}

pub(super) async fn serve(api: &HttpApi, route: LockRoute, request: Request<Body>) -> HttpResponse {
    let asked = match asked(api, request).await {
        Ok(asked) => asked,
        Err(error) => return failed(&error),
    };
    let subject = Subject {
        store: route.store(),
        resource: &asked.resource_id,
        owner: &asked.lock_owner,
    };
    let locks = &api.blocks.lock;
    let answered = match &route {
        LockRoute::TryLock { .. } => locks
            .try_lock(subject, asked.expiry_in_seconds)
            .await
            .map(|success| json(&Taken { success })),
        LockRoute::Unlock { .. } => locks.unlock(subject).await.map(|release| {
            json(&Released {
                status: unlock_status(release).into(),
            })
        }),
    };
    answered.unwrap_or_else(|error| failed(&error))
}

async fn asked(api: &HttpApi, request: Request<Body>) -> Result<Asked, ApiError> {
    let body = body_of(api, request.into_body()).await;
    decode(&body.map_err(ApiError::body_read)?).map_err(ApiError::malformed)
}
