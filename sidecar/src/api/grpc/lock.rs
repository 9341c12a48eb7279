//! Locks over gRPC.

use tonic::Status;
use trilby_components::lock::Release;
use trilby_proto::runtime::v1::unlock_response::Status as Answer;
use trilby_proto::runtime::v1::{TryLockRequest, TryLockResponse, UnlockRequest, UnlockResponse};

use crate::blocks::lock::{Locks, Subject};

pub(super) async fn try_lock(
    locks: &Locks,
    request: TryLockRequest,
) -> Result<TryLockResponse, Status> {
    let subject = Subject {
        store: &request.store_name,
        resource: &request.resource_id,
        owner: &request.lock_owner,
    };
    let success = locks.try_lock(subject, request.expiry_in_seconds).await?;
    Ok(TryLockResponse { success })
}

pub(super) async fn unlock(
    locks: &Locks,
    request: UnlockRequest,
) -> Result<UnlockResponse, Status> {
    let subject = Subject {
        store: &request.store_name,
        resource: &request.resource_id,
        owner: &request.lock_owner,
    };
    let status = answer(locks.unlock(subject).await?).into();
    Ok(UnlockResponse { status })
}

/// What became of an unlock, in the API's words.
pub(in crate::api) fn answer(release: Release) -> Answer {
    match release {
        Release::Done => Answer::Success,
        Release::Absent => Answer::LockDoesNotExist,
        Release::Foreign => Answer::LockBelongsToOthers,
    }
}
