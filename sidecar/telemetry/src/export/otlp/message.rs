//! A batch as OpenTelemetry's protobuf messages.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use trilby_proto::opentelemetry::collector::trace::v1::ExportTraceServiceRequest;
use trilby_proto::opentelemetry::common::v1::any_value::Value;
use trilby_proto::opentelemetry::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use trilby_proto::opentelemetry::resource::v1::Resource as ResourceMessage;
use trilby_proto::opentelemetry::trace::v1::span::SpanKind;
use trilby_proto::opentelemetry::trace::v1::status::StatusCode;
use trilby_proto::opentelemetry::trace::v1::{ResourceSpans, ScopeSpans, Span, SpanFlags, Status};

use crate::resource::{Resource, SCHEMA, SCOPE};
use crate::span::{Kind, SpanData};

/// One request with every span of a batch.
pub(super) fn request(resource: &Resource, batch: &[Arc<SpanData>]) -> ExportTraceServiceRequest {
    let attributes = resource
        .attributes()
        .iter()
        .map(|(key, value)| attribute(key, value));
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(ResourceMessage {
                attributes: attributes.collect(),
                ..ResourceMessage::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: SCOPE.to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans: batch.iter().map(|span| message(span)).collect(),
                schema_url: String::new(),
            }],
            schema_url: SCHEMA.to_owned(),
        }],
    }
}

fn message(span: &SpanData) -> Span {
    let state = span.state.as_ref().and_then(|state| state.to_str().ok());
    let status = span.error.as_ref().map(|description| Status {
        message: description.clone(),
        code: StatusCode::Error.into(),
    });
    Span {
        trace_id: Bytes::copy_from_slice(&span.context.trace_id),
        span_id: Bytes::copy_from_slice(&span.context.span_id),
        trace_state: state.unwrap_or_default().to_owned(),
        parent_span_id: span
            .parent
            .map_or_else(Bytes::new, |parent| Bytes::copy_from_slice(&parent.span_id)),
        flags: flags(span),
        name: span.name.clone(),
        kind: kind(span.kind).into(),
        start_time_unix_nano: nanoseconds(span.start),
        end_time_unix_nano: nanoseconds(span.end),
        attributes: span
            .attributes
            .iter()
            .map(|(key, value)| attribute(key, value))
            .collect(),
        status: Some(status.unwrap_or_default()),
        ..Span::default()
    }
}

/// The trace's flags, and whether the parent is elsewhere: every parent came with a request.
fn flags(span: &SpanData) -> u32 {
    let known = SpanFlags::ContextHasIsRemoteMask as u32;
    let remote = if span.parent.is_some() {
        SpanFlags::ContextIsRemoteMask as u32
    } else {
        0
    };
    u32::from(span.context.flags) | known | remote
}

fn kind(kind: Kind) -> SpanKind {
    match kind {
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
        Kind::Producer => SpanKind::Producer,
    }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
