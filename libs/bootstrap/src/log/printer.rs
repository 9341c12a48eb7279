//! From tracing events to lines.

use std::{collections::BTreeMap, error::Error, fmt};

use jiff::Timestamp;
use serde_json::Value;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use crate::{
    log::{
        Output,
        line::{Format, Line},
    },
    net,
};

/// Writes every event that reaches it as one line.
pub(super) struct Printer {
    format: Format,
    instance: String,
    app_id: Option<String>,
    output: Output,
}

/// Collects fields; the message apart.
#[derive(Clone, Default)]
struct Fields {
    message: String,
    fields: BTreeMap<String, Value>,
}

impl Printer {
    pub(super) fn new(format: Format, app_id: Option<&str>, output: Output) -> Self {
        Self {
            format,
            instance: net::hostname(),
            app_id: app_id.map(str::to_owned),
            output,
        }
    }
}

impl<S> Layer<S> for Printer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut all = Fields::default();
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(|s| s.from_root())
        {
            if let Some(fields) = span.extensions().get::<Fields>() {
                all.fields.extend(fields.fields.clone());
            }
        }
        event.record(&mut all);
        self.output.write(&self.format.render(Line {
            time: Timestamp::now(),
            level: *event.metadata().level(),
            target: event.metadata().target(),
            message: all.message,
            instance: &self.instance,
            app_id: self.app_id.as_deref(),
            fields: all.fields,
        }));
    }
}

impl Fields {
    fn insert(&mut self, field: &Field, value: Value) {
        let name = field.name();
        let name = name.strip_prefix("r#").unwrap_or(name);
        self.fields.insert(name.to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            _ => self.insert(field, format!("{value:?}").into()),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = value.to_owned(),
            _ => self.insert(field, value.into()),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        self.insert(field, text.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use serde_json::Value;
    use tracing::{info, info_span, warn};
    use tracing_subscriber::layer::SubscriberExt;

    use super::Printer;
    use crate::log::{Output, level, line::Format, targets};

    /// What `body` logs at `at`, line by line.
    fn logged(at: &str, body: impl FnOnce()) -> Vec<Value> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let output = Output::File(Mutex::new(file.reopen().expect("reopens")));
        let subscriber = tracing_subscriber::registry()
            .with(targets(level(at).expect("a level")))
            .with(Printer::new(Format::Json, Some("shop"), output));
        tracing::subscriber::with_default(subscriber, body);
        std::fs::read_to_string(file.path())
            .expect("reads")
            .lines()
            .map(|line| serde_json::from_str(line).expect("a JSON line"))
            .collect()
    }

    #[test]
    fn a_line_carries_the_fields_of_its_spans() {
        let lines = logged("info", || {
            let _span = info_span!("call", peer = "b", late = tracing::field::Empty).entered();
            tracing::Span::current().record("late", 7);
            info!(count = 2, "app {} called", "b");
        });
        let line = &lines[0];
        assert_eq!(line["msg"], "app b called");
        assert_eq!(line["peer"], "b");
        assert_eq!(line["late"], 7);
        assert_eq!(line["count"], 2);
        assert_eq!(line["app_id"], "shop");
        assert_eq!(line["scope"], "dapr.bootstrap.log.printer.tests");
    }

    #[test]
    fn an_error_is_written_with_its_sources() {
        let error = anyhow::anyhow!("refused").context("cannot connect");
        let lines = logged("info", || {
            let error: &(dyn std::error::Error + 'static) = error.as_ref();
            warn!(error, "away");
        });
        assert_eq!(lines[0]["error"], "cannot connect: refused");
        assert_eq!(lines[0]["level"], "warning");
    }

    #[test]
    fn the_level_holds_for_us_and_others_are_heard_from_warnings_on() {
        let lines = logged("info", || {
            tracing::debug!("ours, too low");
            info!("ours");
            info!(target: "hyper::client", "theirs, too low");
            warn!(target: "hyper::client", "theirs");
        });
        let messages: Vec<_> = lines.iter().map(|line| &line["msg"]).collect();
        assert_eq!(messages, ["ours", "theirs"]);
    }

    #[test]
    fn the_api_log_is_written_whatever_the_level_is() {
        let lines = logged("error", || {
            info!("ours");
            info!(target: "dapr.runtime.http-info", "HTTP API Called");
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["scope"], "dapr.runtime.http-info");
    }
}
