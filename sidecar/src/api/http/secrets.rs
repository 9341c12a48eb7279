//! Secrets over HTTP.

use trilby_components::RequestMetadata;

use super::respond::{HttpResponse, failed, json};
use crate::blocks::Blocks;

pub(super) async fn get(
    blocks: &Blocks,
    (store, name): (&str, &str),
    metadata: RequestMetadata,
) -> HttpResponse {
    match blocks.secrets.get(store, name, &metadata).await {
        Ok(secret) => json(&secret),
        Err(error) => failed(&error),
    }
}

pub(super) async fn bulk(blocks: &Blocks, store: &str, metadata: RequestMetadata) -> HttpResponse {
    match blocks.secrets.bulk(store, &metadata).await {
        Ok(secrets) => json(&secrets),
        Err(error) => failed(&error),
    }
}
