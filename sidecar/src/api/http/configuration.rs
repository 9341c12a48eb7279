//! Configuration over HTTP.

use http::StatusCode;
use serde_json::json;
use trilby_components::configuration::Selection;

use super::escape::QueryString;
use super::respond::{HttpResponse, data, empty, failed, json};
use super::route::{ConfigurationOperation, ConfigurationRoute};
use crate::blocks::Blocks;
use crate::blocks::configuration::Shown;

/// The parameter that names a key, as often as there are keys.
const KEY: &str = "key";

pub(super) async fn serve(
    blocks: &Blocks,
    route: ConfigurationRoute,
    query: Option<&str>,
) -> HttpResponse {
    let store = &route.store;
    match route.operation {
        ConfigurationOperation::Get => get(blocks, store, &selection(query)).await,
        ConfigurationOperation::Subscribe => subscribe(blocks, store, selection(query)).await,
        ConfigurationOperation::Unsubscribe { id } => unsubscribe(blocks, store, &id),
    }
}

fn selection(query: Option<&str>) -> Selection {
    let query = QueryString::new(query);
    Selection {
        keys: query.all(KEY),
        metadata: query.metadata().into_iter().collect(),
    }
}

async fn get(blocks: &Blocks, store: &str, selection: &Selection) -> HttpResponse {
    match blocks.configuration.get(store, selection).await {
        Ok(items) if items.is_empty() => empty(),
        Ok(items) => json(&Shown::all(&items)),
        Err(error) => failed(&error),
    }
}

async fn subscribe(blocks: &Blocks, store: &str, selection: Selection) -> HttpResponse {
    match blocks.configuration.deliver(store, selection).await {
        Ok(id) => json(&json!({ "id": id })),
        Err(error) => failed(&error),
    }
}

fn unsubscribe(blocks: &Blocks, store: &str, id: &str) -> HttpResponse {
    match blocks.configuration.unsubscribe(store, id) {
        Ok(true) => json(&json!({ "ok": true })),
        Ok(false) => {
            let message = format!(
                "failed to unsubscribe to configuration request {id}: subscription with id {id} does not exist"
            );
            let body = json!({ "message": message }).to_string();
            data(StatusCode::INTERNAL_SERVER_ERROR, body)
        }
        Err(error) => failed(&error),
    }
}
