//! Starts spans, with whatever pipeline is in force.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue};

use crate::context::{SpanContext, TRACE_BIN, TRACEPARENT, TRACESTATE, is_state};
use crate::ids;
use crate::pipeline::Pipeline;
use crate::span::{Beginning, Kind, Span};

/// Tracing as the rest of the sidecar sees it. Cheap to clone; clones follow the same Configuration.
#[derive(Debug, Clone)]
pub struct Tracing(Arc<ArcSwap<Mode>>);

/// What happens to requests.
#[derive(Debug)]
pub(crate) enum Mode {
    /// Nothing: the Configuration's rate is zero.
    Off,
    /// Contexts are passed on; nobody takes spans.
    Passing,
    /// Spans are made.
    Active(Arc<Pipeline>),
}

/// The caller's place in a trace.
#[derive(Debug, Clone, Default)]
pub struct Parent {
    context: Option<SpanContext>,
    state: Option<HeaderValue>,
}

impl Parent {
    /// From headers of HTTP.
    #[must_use]
    pub fn of_http(headers: &HeaderMap) -> Self {
        let context = headers.get(TRACEPARENT).and_then(SpanContext::from_text);
        Self {
            context,
            state: context.and_then(|_| state_of(headers)),
        }
    }

    /// From metadata of gRPC, whose binary form wins over the text.
    #[must_use]
    pub fn of_grpc(headers: &HeaderMap) -> Self {
        let Some(binary) = headers.get(TRACE_BIN) else {
            return Self::of_http(headers);
        };
        let context = SpanContext::from_binary(binary);
        let text = headers.get(TRACEPARENT).and_then(SpanContext::from_text);
        let same_trace =
            |context: SpanContext| text.is_some_and(|text| text.trace_id == context.trace_id);
        Self {
            context,
            // The binary form has no room for it; beside it stands the state of its own trace, or of another.
            state: context
                .filter(|context| same_trace(*context))
                .and_then(|_| state_of(headers)),
        }
    }
}

fn state_of(headers: &HeaderMap) -> Option<HeaderValue> {
    headers
        .get(TRACESTATE)
        .filter(|state| is_state(state))
        .cloned()
}

impl Tracing {
    /// Nothing is traced, until [`Exports`](crate::Exports) puts a pipeline in place.
    #[must_use]
    pub fn off() -> Self {
        Self(Arc::new(ArcSwap::from_pointee(Mode::Off)))
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.0.store(Arc::new(mode));
    }

    /// Makes no more spans. Exporters end once they delivered what they have.
    pub fn stop(&self) {
        self.set(Mode::Off);
    }

    /// Whether requests are looked at.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !matches!(**self.0.load(), Mode::Off)
    }

    /// Starts a span below the one that `headers` of HTTP name. `name` is asked only if the span is recorded.
    pub fn start_http(
        &self,
        headers: &HeaderMap,
        kind: Kind,
        name: impl FnOnce() -> String,
    ) -> Span {
        self.start(|| Parent::of_http(headers), kind, name)
    }

    /// Starts a span below the one that `headers` of gRPC name. `name` is asked only if the span is recorded.
    pub fn start_grpc(
        &self,
        headers: &HeaderMap,
        kind: Kind,
        name: impl FnOnce() -> String,
    ) -> Span {
        self.start(|| Parent::of_grpc(headers), kind, name)
    }

    fn start(
        &self,
        parent: impl FnOnce() -> Parent,
        kind: Kind,
        name: impl FnOnce() -> String,
    ) -> Span {
        let mode = self.0.load();
        let pipeline = match &**mode {
            Mode::Off => return Span::untouched(),
            Mode::Passing => return Span::passing(parent().context),
            Mode::Active(pipeline) => pipeline,
        };
        let Parent { context, state } = parent();
        // What names a trace without a span, as binary contexts may, is a trace that begins here.
        let trace_id = context.map_or_else(ids::trace_id, |parent| parent.trace_id);
        let own = SpanContext {
            trace_id,
            span_id: ids::span_id(),
            flags: pipeline.sampler().flags(context.as_ref(), &trace_id),
        };
        let span = Span::own(own, state);
        if !own.is_sampled() || !pipeline.exports() {
            return span;
        }
        let beginning = Beginning {
            name: name(),
            kind,
            parent: context.filter(SpanContext::is_valid),
        };
        span.recorded(beginning, Arc::clone(pipeline))
    }
}
