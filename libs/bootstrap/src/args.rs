//! Command-line flags, spelled as upstream's programs accept them.
//!
//! Upstream takes a long flag with one dash or two, its value after a blank or `=`, and a boolean as `--flag` or
//! `--flag=<bool>` (never `--flag true`). [`parse`] turns that into what clap reads. A boolean flag is declared as
//!
//! ```
//! #[derive(clap::Args)]
//! struct Example {
//!     #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
//!           default_value = "false", value_parser = trilby_bootstrap::args::go_bool)]
//!     tls_enabled: bool,
//! }
//! ```

use std::{ffi::OsString, io::Write, path::Path};

use clap::{Args, Parser};

use crate::version;

#[cfg(test)]
mod tests;

/// Logging flags, common to every service.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct LogArgs {
    /// Lowest level that is written: debug, info, warn, error or fatal
    #[arg(long, default_value = "info", value_parser = log_level)]
    pub log_level: String,
    /// Write one JSON object per line instead of logfmt
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "false", value_parser = go_bool)]
    pub log_as_json: bool,
    /// Append logs to this file instead of writing them to standard output
    #[arg(long, default_value = "")]
    pub log_file: String,
}

/// Health server flags, common to the control plane.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct HealthArgs {
    /// Port of the health server
    #[arg(long, default_value_t = 8080)]
    pub healthz_port: u16,
    /// Address the health server listens on; empty: all
    #[arg(long, default_value = "")]
    pub healthz_listen_address: String,
}

/// Metrics server flags, common to every service.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct MetricsArgs {
    /// Serve Prometheus metrics
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "true", value_parser = go_bool)]
    pub enable_metrics: bool,
    /// Port of the metrics server
    #[arg(long, default_value_t = 9090)]
    pub metrics_port: u16,
    /// Address the metrics server listens on
    #[arg(long, default_value = "0.0.0.0")]
    pub metrics_listen_address: String,
}

impl Default for LogArgs {
    fn default() -> Self {
        Self {
            log_level: "info".to_owned(),
            log_as_json: false,
            log_file: String::new(),
        }
    }
}

/// Reads this process's flags. Prints help, the version or the build and exits 0 when asked to; prints what is
/// wrong and exits 2 on an unknown flag or a bad value.
#[must_use]
pub fn parse<T: Parser>() -> T {
    let args: Vec<OsString> = std::env::args_os().collect();
    if let Some(text) = about(&args) {
        print_line(&text);
        std::process::exit(0);
    }
    parse_from(args).unwrap_or_else(|error: clap::Error| error.exit())
}

/// Reads flags from `args`, of which the first is the program's name.
///
/// # Errors
/// An unknown flag, a missing or a bad value.
pub fn parse_from<T: Parser>(
    args: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<T, clap::Error> {
    T::try_parse_from(normalise(args))
}

/// A boolean as Go's flag packages read it: `1 t T true TRUE True` and `0 f F false FALSE False`.
///
/// # Errors
/// Any other text.
pub fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

fn log_level(text: &str) -> Result<String, String> {
    match crate::log::level(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("expected debug, info, warn, error or fatal".to_owned()),
    }
}

/// `-port 1` becomes `--port 1`. What follows `--` stays as it is, as does a negative number. The program's own
/// name as the first argument is dropped: that is what an image whose entrypoint is the program gets from a
/// pod that gives the program as its first argument, as injectors do.
fn normalise(args: impl IntoIterator<Item = impl Into<OsString>>) -> Vec<OsString> {
    let mut flags = true;
    let mut normalised: Vec<OsString> = Vec::new();
    for (position, arg) in args.into_iter().enumerate() {
        let arg: OsString = arg.into();
        if position == 1 && same_program(&normalised[0], &arg) {
            continue;
        }
        flags &= arg != "--";
        normalised.push(match arg.to_str() {
            Some(text) if position > 0 && flags && single_dashed(text) => format!("-{text}").into(),
            _ => arg,
        });
    }
    normalised
}

fn same_program(own: &OsString, arg: &OsString) -> bool {
    let path = Path::new(arg);
    path.has_root() && path.file_name() == Path::new(own).file_name()
}

fn single_dashed(text: &str) -> bool {
    text.strip_prefix('-').is_some_and(|name| {
        name.len() > 1 && name.starts_with(|first: char| first.is_ascii_alphabetic())
    })
}

fn about(args: &[OsString]) -> Option<String> {
    normalise(args)
        .iter()
        .skip(1)
        .take_while(|arg| *arg != "--")
        .find_map(|arg| match arg.to_str()? {
            "--version" => Some(version::VERSION.to_owned()),
            "--build-info" => Some(version::build_info()),
            _ => None,
        })
}

fn print_line(text: &str) {
    if let Err(error) = writeln!(std::io::stdout(), "{text}") {
        tracing::debug!(%error, "nobody reads standard output");
    }
}
