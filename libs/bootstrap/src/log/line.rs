//! One log line, as text.

use std::{collections::BTreeMap, fmt::Write};

use jiff::Timestamp;
use serde_json::Value;
use tracing::Level;

use crate::version::VERSION;

/// How a line is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Format {
    /// One JSON object.
    Json,
    /// `key=value`, values quoted where needed.
    Logfmt,
}

/// Everything a line says.
pub(super) struct Line<'a> {
    pub time: Timestamp,
    pub level: Level,
    pub target: &'a str,
    pub message: String,
    pub instance: &'a str,
    pub app_id: Option<&'a str>,
    /// Fields of the event and its spans; the event's win.
    pub fields: BTreeMap<String, Value>,
}

/// Keys that are ours: a field of an event with one of these names is written as `fields.<name>`.
const RESERVED: [&str; 8] = [
    "time", "level", "type", "scope", "msg", "instance", "ver", "app_id",
];

impl Format {
    pub(super) fn from_json_flag(json: bool) -> Self {
        if json { Self::Json } else { Self::Logfmt }
    }

    /// The line, ending in a newline.
    pub(super) fn render(self, line: Line<'_>) -> String {
        let mut text = match self {
            Self::Json => json(line),
            Self::Logfmt => logfmt(line),
        };
        text.push('\n');
        text
    }
}

fn json(line: Line<'_>) -> String {
    let (time, level, message) = (line.time, level_name(line.level), line.message.clone());
    let mut all = common(line);
    all.insert("time".to_owned(), time.to_string().into());
    all.insert("level".to_owned(), level.into());
    all.insert("msg".to_owned(), message.into());
    Value::Object(all.into_iter().collect()).to_string()
}

/// `time`, `level` and `msg` first, then the rest by name.
fn logfmt(line: Line<'_>) -> String {
    let mut text = format!(
        "time=\"{}\" level={} msg=",
        line.time,
        level_name(line.level)
    );
    push_value(&mut text, &line.message);
    for (key, value) in common(line) {
        text.push(' ');
        text.push_str(&key);
        text.push('=');
        match value {
            Value::String(value) => push_value(&mut text, &value),
            value => push_value(&mut text, &value.to_string()),
        }
    }
    text
}

fn common(line: Line<'_>) -> BTreeMap<String, Value> {
    let mut all: BTreeMap<String, Value> = line
        .fields
        .into_iter()
        .map(|(key, value)| match RESERVED.contains(&key.as_str()) {
            true => (format!("fields.{key}"), value),
            false => (key, value),
        })
        .collect();
    all.insert("type".to_owned(), "log".into());
    all.insert("scope".to_owned(), scope(line.target).into());
    all.insert("instance".to_owned(), line.instance.into());
    all.insert("ver".to_owned(), VERSION.into());
    if let Some(app_id) = line.app_id {
        all.insert("app_id".to_owned(), app_id.into());
    }
    all
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

fn scope(target: &str) -> String {
    if target.starts_with("dapr.") {
        return target.to_owned();
    }
    let module = target.strip_prefix("trilby_").unwrap_or(target);
    format!("dapr.{}", module.replace("::", "."))
}

/// Bare if every character is plain, quoted with escapes otherwise.
fn push_value(text: &mut String, value: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    if value.chars().all(plain) {
        text.push_str(value);
        return;
    }
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            c if c.is_control() => {
                write!(text, "\\u{:04x}", u32::from(c)).expect("writing to a String does not fail")
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::{Format, Line};
    use serde_json::json;
    use tracing::Level;

    fn line(target: &'static str) -> Line<'static> {
        Line {
            time: "2026-11-21T03:04:05.006007Z".parse().expect("a time"),
            level: Level::WARN,
            target,
            message: "reconnect \"failed\"\n".to_owned(),
            instance: "pod-1",
            app_id: Some("shop"),
            fields: [
                ("attempt".to_owned(), json!(3)),
                ("type".to_owned(), json!("state.redis")),
            ]
            .into(),
        }
    }

    #[test]
    fn a_json_line_has_upstreams_keys() {
        assert_eq!(
            Format::Json.render(line("trilby_operator::api")),
            concat!(
                r#"{"app_id":"shop","attempt":3,"fields.type":"state.redis","instance":"pod-1","level":"warning","#,
                r#""msg":"reconnect \"failed\"\n","scope":"dapr.operator.api","time":"2026-11-21T03:04:05.006007Z","#,
                r#""type":"log","ver":"1.18.0"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_logfmt_line_has_the_same_keys_with_time_level_and_message_first() {
        assert_eq!(
            Format::Logfmt.render(line("dapr.runtime.http-info")),
            concat!(
                r#"time="2026-11-21T03:04:05.006007Z" level=warning msg="reconnect \"failed\"\n" app_id=shop attempt=3 "#,
                "fields.type=state.redis instance=pod-1 scope=dapr.runtime.http-info type=log ver=1.18.0\n"
            )
        );
    }

    #[test]
    fn text_of_others_stays_on_one_line() {
        let mut line = line("dapr.x");
        line.message = "a\u{1b}[31m\tb\rc".to_owned();
        let text = Format::Logfmt.render(line);
        assert!(text.contains(r#"msg="a\u001b[31m\tb\rc""#), "{text}");
        assert_eq!(text.matches('\n').count(), 1);
    }
}
