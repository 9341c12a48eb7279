//! Logs in upstream's two line formats: JSON objects, and logfmt.
//!
//! Every line carries `time level type scope msg instance ver` and, where there is one, `app_id`; then the fields
//! of the event and of the spans it happened in. `scope` is the event's target if that begins with `dapr.`, else
//! it is made from the module: `trilby_operator::api` → `dapr.operator.api`. Libraries of others are heard only
//! from warnings on.

mod change;
mod line;
mod printer;

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
};

use parking_lot::Mutex;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, reload};

use crate::{args::LogArgs, log::printer::Printer};

pub(crate) use change::follow_signal;
pub use change::{LogHandle, PATH};

/// Events of these targets are written at `info` whatever the level is: the API log has its own switch, and who reads
/// a log must see that its level changed.
const ALWAYS: [&str; 3] = [
    "dapr.runtime.http-info",
    "dapr.runtime.grpc.api-info",
    change::TARGET,
];

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Not one of the five levels.
    #[error("unknown log level {0:?}: expected debug, info, warn, error or fatal")]
    Level(String),
    /// The log file cannot be opened for appending.
    #[error("cannot open log file {path:?}: {error}")]
    File {
        /// As given by `--log-file`.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// There is a log already.
    #[error("logging is already set up in this process")]
    AlreadySet,
}

/// Starts logging for this process.
///
/// # Errors
/// An unknown level, a log file that cannot be opened, or a second call.
pub fn init(args: &LogArgs, app_id: Option<&str>) -> Result<LogHandle, LogError> {
    let level = level(&args.log_level).ok_or_else(|| LogError::Level(args.log_level.clone()))?;
    let (filter, handle) = reload::Layer::new(targets(level));
    let printer = Printer::new(
        line::Format::from_json_flag(args.log_as_json),
        app_id,
        output(args)?,
    );
    let subscriber = tracing_subscriber::registry().with(filter).with(printer);
    tracing::subscriber::set_global_default(subscriber).map_err(|_set| LogError::AlreadySet)?;
    Ok(LogHandle::new(handle, level))
}

/// The level that upstream's name stands for. `fatal` is our `error`: the last line of a dying process must be seen.
pub(crate) fn level(text: &str) -> Option<LevelFilter> {
    Some(match text.to_ascii_lowercase().as_str() {
        "debug" => LevelFilter::DEBUG,
        "info" => LevelFilter::INFO,
        "warn" | "warning" => LevelFilter::WARN,
        "error" | "fatal" => LevelFilter::ERROR,
        _ => return None,
    })
}

fn targets(level: LevelFilter) -> Targets {
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_targets([("dapr", level), ("trilby", level)])
        .with_targets(ALWAYS.map(|target| (target, level.max(LevelFilter::INFO))))
}

enum Output {
    Stdout,
    File(Mutex<File>),
}

fn output(args: &LogArgs) -> Result<Output, LogError> {
    if args.log_file.is_empty() {
        return Ok(Output::Stdout);
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&args.log_file)
        .map(|file| Output::File(Mutex::new(file)))
        .map_err(|error| LogError::File {
            path: args.log_file.clone(),
            error,
        })
}

impl Output {
    /// Writes one whole line at once, so that lines of several threads never mix.
    fn write(&self, line: &str) {
        let written = match self {
            Self::Stdout => io::stdout().lock().write_all(line.as_bytes()),
            Self::File(file) => file.lock().write_all(line.as_bytes()),
        };
        // A full disk or a closed pipe: there is nowhere left to say so, and the service is worth more than its log.
        drop(written);
    }
}
