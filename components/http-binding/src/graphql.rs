//! `bindings.graphql`: the operations `query` and `mutation`, as POST of JSON.
//!
//! Variables are texts (`variable:<name>` of a request), headers come from the component (`header:<name>`) and from
//! requests. Numbers come back as the server writes them.

use async_trait::async_trait;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{ACCEPT, CONTENT_TYPE},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use tracing::warn;
use trilby_components::RequestMetadata;
use trilby_components::binding::{BindingError, Invocation, OutputBinding, Reply, Timing};
use trilby_components::metadata::{Metadata, MetadataError, Schema};
use trilby_components::registry::InitError;
use trilby_https::{Client, Limits};

use crate::caller::{log_in, set_header, url};
use crate::{LONGEST, MOST_BYTES, failed};

/// What is sent, and asked for.
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
/// How keys begin whose rest is the name of a header.
const HEADER: &str = "header:";
/// How keys begin whose rest is the name of a variable.
const VARIABLE: &str = "variable:";
/// Every operation. Each is also the first word of its document, and the key of the request that has it.
const OPERATIONS: &[&str] = &["query", "mutation"];

/// Metadata of the binding.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// The URL of the server: `http://host:port/graphql`. Other keys of the form `header:<name>` are headers of every
    /// request.
    endpoint: String,
}

impl Schema for Settings {}

/// Requests to one GraphQL server.
pub struct GraphqlBinding {
    client: Client,
    uri: Uri,
    headers: HeaderMap,
}

/// What a server says.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    errors: Vec<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    message: String,
}

impl GraphqlBinding {
    /// Reads its settings. Nothing is connected yet.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(metadata: &Metadata) -> Result<Self, InitError> {
        let (settings, rest) = metadata.split::<Settings>()?;
        let invalid = |reason| MetadataError::invalid("endpoint", reason);
        let client = Client::new().map_err(|error| InitError::Invalid(error.to_string()))?;
        Ok(Self {
            client,
            uri: url(&settings.endpoint).map_err(invalid)?,
            headers: common_headers(&rest)?,
        })
    }

    fn request(&self, invocation: &Invocation) -> Result<Request<Bytes>, BindingError> {
        let document = document(invocation)?;
        let mut variables = Map::new();
        let mut headers = self.headers.clone();
        for (key, value) in &invocation.metadata {
            if let Some(name) = key.strip_prefix(HEADER) {
                set_header(&mut headers, name, value)?;
            } else if let Some(name) = key.strip_prefix(VARIABLE) {
                variables.insert(name.to_owned(), Value::from(value.as_str()));
            }
        }
        let body = json!({"query": document, "variables": variables});
        let mut request = Request::new(Bytes::from(body.to_string()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        log_in(&mut request);
        Ok(request)
    }
}

#[async_trait]
impl OutputBinding for GraphqlBinding {
    fn operations(&self) -> Vec<String> {
        OPERATIONS.iter().map(|name| (*name).to_owned()).collect()
    }

    async fn invoke(&self, invocation: Invocation) -> Result<Reply, BindingError> {
        let timing = Timing::begin();
        let request = self.request(&invocation)?;
        let limits = Limits {
            time: LONGEST,
            size: MOST_BYTES,
        };
        let answer = self.client.send_following(request, limits).await;
        let answer = answer.map_err(|error| failed(&error))?;
        reply(&answer, timing.end(&invocation))
    }
}

fn common_headers(rest: &Metadata) -> Result<HeaderMap, MetadataError> {
    let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, JSON), (ACCEPT, JSON)]);
    let mut unknown = Vec::new();
    for key in rest.names() {
        let Some(name) = key.strip_prefix(HEADER) else {
            unknown.push(key);
            continue;
        };
        let value = rest.get(key).unwrap_or_default();
        set_header(&mut headers, name, value)
            .map_err(|error| MetadataError::invalid(key, error.to_string()))?;
        // It may well be a credential: it does not follow a redirect to another server.
        if let Some(value) = HeaderName::try_from(name)
            .ok()
            .and_then(|name| headers.get_mut(name))
        {
            value.set_sensitive(true);
        }
    }
    if !unknown.is_empty() {
        warn!(
            ?unknown,
            "metadata properties that this component does not know have no effect"
        );
    }
    Ok(headers)
}

/// The document of a request, which has to be what the operation is called.
fn document(invocation: &Invocation) -> Result<&str, BindingError> {
    let refused = |reason: String| Err(BindingError::InvalidRequest(format!("GraphQL: {reason}")));
    let operation = invocation.operation.as_str();
    if !OPERATIONS.contains(&operation) {
        return refused(format!("invalid operation: {operation}"));
    }
    let given = invocation.metadata.get(operation);
    let text = given.map(|text| text.trim()).unwrap_or_default();
    if text.is_empty() {
        return refused(format!("required {operation:?} not set"));
    }
    let inside = |next: char| next.is_ascii_alphanumeric() || next == '_';
    match text.strip_prefix(operation) {
        Some(rest) if !rest.starts_with(inside) => Ok(text),
        _ => refused(format!("command is not a {operation}")),
    }
}

fn reply(answer: &Response<Bytes>, metadata: RequestMetadata) -> Result<Reply, BindingError> {
    let refused = |reason: String| BindingError::Refused {
        error: format!("GraphQL: {reason}"),
        reply: Box::default(),
    };
    let told: Answer<'_> = serde_json::from_slice(answer.body()).map_err(|error| {
        refused(match answer.status() {
            StatusCode::OK => format!("the answer is not understood: {error}"),
            status => format!("server returned a non-200 status code: {}", status.as_u16()),
        })
    })?;
    if let Some(Failure { message }) = told.errors.first() {
        return Err(refused(message.clone()));
    }
    let data = told.data.map_or("null", RawValue::get);
    Ok(Reply {
        data: Some(Bytes::copy_from_slice(data.as_bytes())),
        metadata,
        content_type: None,
    })
}

#[cfg(test)]
mod tests;
