//! Queries over HTTP: the body is the query.

use axum::body::Body;
use http::request::Parts;
use serde::Serialize;
use serde_json::value::RawValue;

use super::super::HttpApi;
use super::super::escape::QueryString;
use super::super::respond::{HttpResponse, empty, json};
use super::super::service::body_of;
use super::raw_json;
use crate::blocks::state::Found;
use crate::error::ApiError;

#[derive(Debug, Serialize)]
struct QueryAnswer {
    results: Vec<QueryEntry>,
    #[serde(skip_serializing_if = "String::is_empty")]
    token: String,
}

#[derive(Debug, Serialize)]
struct QueryEntry {
    key: String,
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(super) async fn query(
    api: &HttpApi,
    store: &str,
    (head, body): (&Parts, Body),
) -> Result<HttpResponse, ApiError> {
    let metadata = QueryString::new(head.uri.query()).metadata();
    let body = body_of(api, body).await;
    let body = body.map_err(ApiError::body_read)?;
    let store = api.blocks.state.store(store)?;
    let answer = store.query(&body, metadata.into_iter().collect()).await?;
    if answer.found.is_empty() {
        return Ok(empty());
    }
    Ok(json(&QueryAnswer {
        results: answer.found.into_iter().map(entry).collect(),
        token: answer.token,
    }))
}

fn entry(Found { key, result }: Found) -> QueryEntry {
    let read = result.and_then(|item| Ok((raw_json(&item.value)?, item.etag)));
    match read {
        Ok((data, etag)) => QueryEntry {
            key,
            data: Some(data),
            etag,
            error: None,
        },
        Err(error) => QueryEntry {
            key,
            data: None,
            etag: None,
            error: Some(error),
        },
    }
}
