//! One unit of work, and what its request carries on.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use http::{Extensions, HeaderMap, HeaderValue};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::context::{MAX_STATE, SpanContext, TRACE_BIN, TRACEPARENT, TRACESTATE};
use crate::pipeline::Pipeline;

/// The side of a call that a span describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The work of a callee.
    Server,
    /// A call to another.
    Client,
    /// The sending of a message that somebody handles later.
    Producer,
}

/// What an attribute is called.
pub(crate) type Key = Cow<'static, str>;

/// A span that has ended, on its way to the exporters.
#[derive(Debug)]
pub(crate) struct SpanData {
    pub(crate) context: SpanContext,
    pub(crate) parent: Option<SpanContext>,
    pub(crate) state: Option<HeaderValue>,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) start: SystemTime,
    pub(crate) end: SystemTime,
    pub(crate) attributes: Vec<(Key, String)>,
    /// The text of the failure, if the work failed.
    pub(crate) error: Option<String>,
}

/// What is known of a span while it lasts.
#[derive(Debug, Default)]
struct Draft {
    name: String,
    attributes: Vec<(Key, String)>,
    error: Option<String>,
}

/// Describes a span that is recorded. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Note(Arc<Mutex<Draft>>);

impl Note {
    /// Another name.
    pub fn rename(&self, name: String) {
        self.0.lock().name = name;
    }

    /// One more attribute. An empty value is left out; a key that was set before gets the new value.
    pub fn set(&self, key: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        let (key, value) = (key.into(), value.into());
        if value.is_empty() {
            return;
        }
        let attributes = &mut self.0.lock().attributes;
        match attributes.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => attributes.push((key, value)),
        }
    }

    /// The work failed.
    pub fn fail(&self, description: String) {
        self.0.lock().error = Some(description);
    }
}

/// A span. It ends, and is handed to the exporters if it is recorded, when it is dropped.
#[derive(Debug)]
pub struct Span {
    handle: SpanHandle,
    recording: Option<Recording>,
}

/// What handlers of a request know of its span. Cheap to clone; travels in a request's extensions.
#[derive(Debug, Clone)]
pub struct SpanHandle {
    carried: Carried,
    note: Option<Note>,
}

/// What the request carries on.
#[derive(Debug, Clone)]
enum Carried {
    /// Tracing is off: headers pass untouched.
    Untouched,
    /// No span is made: the caller's context passes, and without one the empty context stands in its place, as
    /// upstream sends it.
    Passing(Option<SpanContext>),
    /// This span's context.
    Own {
        context: SpanContext,
        text: HeaderValue,
        state: Option<HeaderValue>,
    },
}

/// The empty context: not a trace, and by W3C's rules to be ignored.
const NONE_TEXT: HeaderValue =
    HeaderValue::from_static("00-00000000000000000000000000000000-0000000000000000-00");

#[derive(Debug)]
struct Recording {
    note: Note,
    pipeline: Arc<Pipeline>,
    parent: Option<SpanContext>,
    kind: Kind,
    start: SystemTime,
    began: Instant,
}

/// What a recorded span begins with.
pub(crate) struct Beginning {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) parent: Option<SpanContext>,
}

// === impl Span ===

impl Span {
    pub(crate) fn untouched() -> Self {
        Self::silent(Carried::Untouched)
    }

    pub(crate) fn passing(parent: Option<SpanContext>) -> Self {
        Self::silent(Carried::Passing(parent))
    }

    pub(crate) fn own(context: SpanContext, state: Option<HeaderValue>) -> Self {
        Self::silent(Carried::Own {
            text: context.to_text(),
            context,
            state,
        })
    }

    fn silent(carried: Carried) -> Self {
        Self {
            handle: SpanHandle {
                carried,
                note: None,
            },
            recording: None,
        }
    }

    /// Records the span from now on.
    pub(crate) fn recorded(mut self, beginning: Beginning, pipeline: Arc<Pipeline>) -> Self {
        let note = Note(Arc::new(Mutex::new(Draft {
            name: beginning.name,
            ..Draft::default()
        })));
        self.handle.note = Some(note.clone());
        self.recording = Some(Recording {
            note,
            pipeline,
            parent: beginning.parent,
            kind: beginning.kind,
            start: SystemTime::now(),
            began: Instant::now(),
        });
        self
    }

    /// For handlers.
    #[must_use]
    pub fn handle(&self) -> &SpanHandle {
        &self.handle
    }

    /// Describes the span; `None` while nobody would read it.
    #[must_use]
    pub fn note(&self) -> Option<&Note> {
        self.handle.note.as_ref()
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(recording) = self.recording.take() else {
            return;
        };
        let Carried::Own { context, state, .. } = &self.handle.carried else {
            return;
        };
        let Draft {
            name,
            attributes,
            error,
        } = std::mem::take(&mut *recording.note.0.lock());
        recording.pipeline.take(SpanData {
            context: *context,
            parent: recording.parent,
            state: state.clone(),
            name,
            kind: recording.kind,
            start: recording.start,
            end: recording.start + recording.began.elapsed(),
            attributes,
            error,
        });
    }
}

// === impl SpanHandle ===

impl SpanHandle {
    /// The handle that a server put into a request; `None` where no span was made.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().cloned()
    }

    /// Puts the handle where the request's handlers find it, if it is of any use to them.
    pub fn attach(&self, extensions: &mut Extensions) {
        if matches!(self.carried, Carried::Own { .. }) {
            extensions.insert(self.clone());
        }
    }

    /// Describes the span, if somebody will read it.
    pub fn describe(&self, describe: impl FnOnce(&Note)) {
        if let Some(note) = &self.note {
            describe(note);
        }
    }

    /// Makes what is called next a child of this span: HTTP's headers.
    pub fn to_http(&self, headers: &mut HeaderMap) {
        match &self.carried {
            Carried::Untouched | Carried::Passing(Some(_)) => {}
            Carried::Passing(None) => drop(headers.insert(TRACEPARENT, NONE_TEXT)),
            Carried::Own { text, state, .. } => {
                headers.insert(TRACEPARENT, text.clone());
                set_or_remove(headers, state.as_ref());
            }
        }
    }

    /// Makes what is called next a child of this span: headers of HTTP, and gRPC's binary form, padded as it must
    /// be where metadata travels inside a message.
    pub fn to_grpc(&self, headers: &mut HeaderMap) {
        let binary = match &self.carried {
            Carried::Own { context, .. } => Some(context),
            Carried::Passing(None) => Some(&SpanContext::NONE),
            Carried::Untouched | Carried::Passing(Some(_)) => None,
        };
        if let Some(context) = binary {
            headers.insert(TRACE_BIN, context.to_padded_binary());
        }
        self.to_http(headers);
    }

    /// Tells an HTTP client the span, unless the answer names another.
    pub fn to_http_answer(&self, headers: &mut HeaderMap) {
        if headers.contains_key(TRACEPARENT) {
            return;
        }
        let (text, state) = match &self.carried {
            Carried::Untouched => return,
            Carried::Passing(context) => {
                let text = context.map_or(NONE_TEXT, |context| context.to_text());
                (text, None)
            }
            Carried::Own { text, state, .. } => (text.clone(), state.as_ref()),
        };
        headers.insert(TRACEPARENT, text);
        if let Some(state) = state.filter(|state| state.len() <= MAX_STATE) {
            headers.insert(TRACESTATE, state.clone());
        }
    }

    /// Tells a gRPC client the span.
    pub fn to_grpc_answer(&self, headers: &mut HeaderMap) {
        let context = match &self.carried {
            Carried::Untouched => return,
            Carried::Passing(context) => context.unwrap_or(SpanContext::NONE),
            Carried::Own { context, .. } => *context,
        };
        headers.insert(TRACE_BIN, context.to_binary());
    }
}

fn set_or_remove(headers: &mut HeaderMap, state: Option<&HeaderValue>) {
    match state {
        Some(state) => drop(headers.insert(TRACESTATE, state.clone())),
        None => drop(headers.remove(TRACESTATE)),
    }
}
