//! Secrets over gRPC.

use tonic::Status;
use trilby_proto::runtime::v1::{
    GetBulkSecretRequest, GetBulkSecretResponse, GetSecretRequest, GetSecretResponse,
    SecretResponse,
};

use crate::blocks::secrets::Secrets;

pub(super) async fn get(
    secrets: &Secrets,
    request: GetSecretRequest,
) -> Result<GetSecretResponse, Status> {
    let metadata = request.metadata.into_iter().collect();
    let secret = secrets
        .get(&request.store_name, &request.key, &metadata)
        .await?;
    Ok(GetSecretResponse {
        data: secret.into_iter().collect(),
    })
}

pub(super) async fn bulk(
    secrets: &Secrets,
    request: GetBulkSecretRequest,
) -> Result<GetBulkSecretResponse, Status> {
    let metadata = request.metadata.into_iter().collect();
    let found = secrets.bulk(&request.store_name, &metadata).await?;
    let entry = |(name, secret): (String, trilby_components::secret::Secret)| {
        (
            name,
            SecretResponse {
                secrets: secret.into_iter().collect(),
            },
        )
    };
    Ok(GetBulkSecretResponse {
        data: found.into_iter().map(entry).collect(),
    })
}
