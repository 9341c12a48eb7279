//! Output bindings over gRPC.

use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use trilby_components::RequestMetadata;
use trilby_components::binding::Invocation;
use trilby_proto::runtime::v1::{InvokeBindingRequest, InvokeBindingResponse};
use trilby_telemetry::baggage::{BAGGAGE, Baggage};
use trilby_telemetry::{TRACEPARENT, TRACESTATE};

use crate::blocks::bindings::Bindings;
use crate::error::ApiError;

pub(super) async fn invoke(
    bindings: &Bindings,
    request: Request<InvokeBindingRequest>,
) -> Result<Response<InvokeBindingResponse>, Status> {
    let (carried, _, asked) = request.into_parts();
    let mut metadata: RequestMetadata = asked.metadata.into_iter().collect();
    add(&mut metadata, &carried.into_headers())?;
    let invocation = Invocation {
        operation: asked.operation,
        data: asked.data,
        metadata,
    };
    match bindings.invoke(&asked.name, invocation).await {
        Ok(reply) => {
            let headers = told(&reply.metadata);
            let answer = InvokeBindingResponse {
                data: reply.data.unwrap_or_default(),
                metadata: reply.metadata.into_iter().collect(),
            };
            let mut response = Response::new(answer);
            *response.metadata_mut() = headers;
            Ok(response)
        }
        Err(refusal) => {
            let mut status = refusal.error.status();
            let headers = told(&refusal.metadata).into_headers();
            status.metadata_mut().as_mut().extend(headers);
            Err(status)
        }
    }
}

/// Adds the call's own metadata, as far as it is text. What the request says itself goes first, but for its place in a
/// trace.
fn add(metadata: &mut RequestMetadata, carried: &HeaderMap) -> Result<(), ApiError> {
    let baggage =
        Baggage::of(carried).map_err(|error| ApiError::malformed_verbatim(error.to_string()))?;
    if let Some(text) = baggage.as_ref().and_then(|all| all.text().to_str().ok()) {
        metadata.insert(BAGGAGE.as_str().to_owned(), text.to_owned());
    }
    for (name, value) in carried {
        let place = name == TRACEPARENT || name == TRACESTATE;
        let key = key(name);
        if name.as_str().ends_with("-bin") || metadata.contains_key(&key) && !place {
            continue;
        }
        if let Ok(value) = value.to_str() {
            metadata.insert(key, value.to_owned());
        }
    }
    Ok(())
}

/// What belongs to gRPC itself stands under a prefix.
fn key(name: &HeaderName) -> String {
    match name.as_str() {
        reserved if reserved.starts_with("grpc-") => format!("dapr-{reserved}"),
        other => other.to_owned(),
    }
}

/// `metadata.<name>` for each; what metadata cannot carry is left out.
fn told(metadata: &RequestMetadata) -> MetadataMap {
    let headers = metadata.iter().filter_map(|(name, value)| {
        let name = HeaderName::try_from(format!("metadata.{name}")).ok()?;
        (!name.as_str().ends_with("-bin")).then_some(())?;
        Some((name, HeaderValue::from_str(value).ok()?))
    });
    MetadataMap::from_headers(headers.collect())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use trilby_components::RequestMetadata;

    use super::{add, told};

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn metadata_of_the_call_is_added_and_the_place_in_a_trace_replaced() {
        let carried = [
            ("own", "call"),
            ("more", "1"),
            ("grpc-timeout", "5S"),
            ("some-bin", "AAA"),
            ("traceparent", PARENT),
            ("baggage", "a=1"),
        ];
        let carried: HeaderMap = carried
            .into_iter()
            .map(|(name, value)| {
                let name = HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            })
            .collect();
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut metadata: RequestMetadata = [("own", "request"), ("traceparent", "old")]
            .map(pair)
            .into();
        add(&mut metadata, &carried).unwrap();
        let expected = [
            ("baggage", "a=1"),
            ("dapr-grpc-timeout", "5S"),
            ("more", "1"),
            ("own", "request"),
            ("traceparent", PARENT),
        ];
        assert_eq!(metadata, expected.map(pair).into());
    }

    #[test]
    fn what_metadata_cannot_carry_is_left_out() {
        let metadata = [("statusCode", "404"), ("a b", "1"), ("line", "a\nb")];
        let metadata = metadata.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let told = told(&metadata.into()).into_headers();
        assert_eq!(told.len(), 1);
        assert_eq!(told["metadata.statuscode"], "404");
    }
}
