//! Distributed tracing of the sidecar.
//!
//! ```text
//! headers ─► Parent ─► Tracing::start ─► Span ─► headers of what is called next
//!                          │              └─ ended ─► queue per exporter ─► batches ─► OTLP · Zipkin · log
//!                       Sampler
//! ```
//!
//! [`Tracing`] is what the rest of the sidecar holds; what stands behind it is swapped while requests run, so a
//! changed Configuration needs no restart. A request that is not sampled costs two random numbers and the header
//! it leaves with; without an exporter it costs a look at its headers. Nothing here waits for an exporter: a
//! queue that is full drops spans and counts them.
//!
//! Deliberately absent: metrics, logs, and any knowledge of APIs. Names and attributes come from the callers.

pub mod baggage;
mod batch;
pub mod context;
mod export;
mod ids;
mod pipeline;
mod resource;
mod sampler;
mod settings;
mod span;
mod tracer;

pub use context::{SpanContext, TRACE_BIN, TRACEPARENT, TRACESTATE};
pub use pipeline::{BuildError, Exports, Stats};
pub use settings::{InvalidSettings, Settings, VARIABLES, Variables};
pub use span::{Kind, Note, Span, SpanHandle};
pub use tracer::{Parent, Tracing};
