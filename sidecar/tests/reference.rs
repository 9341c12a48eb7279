//! The pages of `docs/reference` are what the code says: flags, error codes and metrics, each from the one place that
//! defines it.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use trilby_sidecar::config::ABSENT;
use trilby_sidecar::error::codes::ROWS;
use trilby_sidecar::metrics::catalogue;
use trilby_sidecar::metrics::definition::{Kind, OTHER, Values};
use trilby_sidecar_args::SidecarArgs;

/// Set to any value to write the pages instead of comparing with them.
const UPDATE: &str = "UPDATE_GOLDEN";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn source(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn check(name: &str, page: &str) {
    let path = root().join("docs/reference").join(name);
    if std::env::var_os(UPDATE).is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "docs/reference/{name} is out of date: run `make generate`"
    );
}

/// Text inside a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!("`{}`", cell(text))
}

#[test]
fn flags() {
    let mut page = String::from(
        "# daprd: flags and environment\n\n<!-- Generated from the code by `make generate`. -->\n\n\
         A flag is written with one dash or two, its value after a blank or `=`; a switch is `--flag` or `--flag=false`. \
         Lists are separated by commas or given several times.\n\n\
         | flag | default | environment | meaning |\n|---|---|---|---|\n",
    );
    let command = SidecarArgs::command();
    let mut flags: Vec<_> = command
        .get_arguments()
        .filter(|flag| flag.get_id() != "help")
        .collect();
    flags.sort_by_key(|flag| flag.get_long());
    for flag in flags {
        let name = flag.get_long().unwrap();
        let defaults = flag
            .get_default_values()
            .iter()
            .map(|value| value.to_str().unwrap());
        let default = defaults.collect::<Vec<_>>().join(",");
        let environment = flag
            .get_env()
            .map(|name| name.to_str().unwrap())
            .unwrap_or_default();
        let mut help = flag.get_help().unwrap().to_string();
        if let Some((_, consequence)) = ABSENT.iter().find(|(absent, _)| *absent == name) {
            write!(
                help,
                ". Accepted with a warning: its part is not there yet, so {consequence}"
            )
            .unwrap();
        }
        writeln!(
            page,
            "| `--{name}` | {} | {} | {} |",
            code(&default),
            code(environment),
            cell(&help)
        )
        .unwrap();
    }
    page.push_str("\n## Environment\n\n| variable | meaning |\n|---|---|\n");
    let text = source("libs/sidecar-args/src/env.rs");
    let mut variables = variables(&text);
    variables.sort();
    for (name, meaning) in variables {
        writeln!(page, "| `{name}` | {} |", cell(&meaning)).unwrap();
    }
    check("daprd.md", &page);
}

/// Names and meanings of the constants of `env.rs`.
fn variables(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut meaning = String::new();
    for line in text.lines() {
        if let Some(doc) = line.strip_prefix("/// ") {
            if !meaning.is_empty() {
                meaning.push(' ');
            }
            meaning.push_str(doc);
        } else if line.starts_with("pub const ") {
            let name = line.split('"').nth(1).unwrap();
            found.push((name.to_owned(), std::mem::take(&mut meaning)));
        } else {
            meaning.clear();
        }
    }
    assert!(
        found.len() > 5,
        "the constants of env.rs are written in another way now"
    );
    found
}

#[test]
fn errors() {
    let mut page = String::from(
        "# Error codes\n\n<!-- Generated from the code by `make generate`. -->\n\n\
         HTTP answers `{\"errorCode\", \"message\", \"details\"}`. gRPC answers a status; where there is a reason, it stands \
         in an `ErrorInfo` of the domain `dapr.io`, over HTTP among the details. `…` stands for what differs; several \
         statuses stand for what a store said: any failure, an etag that does not match, an etag that is none.\n",
    );
    let mut category = "";
    for row in ROWS {
        if row.category != category {
            category = row.category;
            write!(
                page,
                "\n## {category}\n\n| code | HTTP | gRPC | message | reason |\n|---|---|---|---|---|\n"
            )
            .unwrap();
        }
        let grpc = if row.grpc.is_empty() { "–" } else { row.grpc };
        writeln!(
            page,
            "| `{}` | {} | {grpc} | {} | {} |",
            row.code,
            row.http,
            code(row.message),
            code(row.reason)
        )
        .unwrap();
    }
    check("errors.md", &page);
}

#[test]
fn metrics() {
    let mut page = format!(
        "# Metrics\n\n<!-- Generated from the code by `make generate`. -->\n\n\
         Served in Prometheus' text format at any path of `--metrics-port`. Every metric has `app_id` beside the labels \
         below. Names, labels and buckets are Dapr's; families of parts that are not there yet are not there either.\n\n\
         No metric grows without end: beyond its limit of series, and for a value that is longer than 255 bytes or not \
         printable ASCII, the labels marked * show `{OTHER}`. How often that happens is counted by \
         `dapr_runtime_metrics_overflow_total`, and said in the log once per metric. Fewer paths: \
         `spec.metrics.http.increasedCardinality: false`, `pathMatching`, or `spec.metrics.rules`.\n\n\
         | metric | type | labels | limit | meaning |\n|---|---|---|---|---|\n"
    );
    let mut rows: Vec<(String, String)> = catalogue()
        .into_iter()
        .map(|definition| {
            let labels = definition.labels.iter().map(|label| match label.values {
                Values::Few => label.name.to_owned(),
                Values::Many => format!("{}*", label.name),
            });
            let kind = match definition.kind {
                Kind::Latency => "histogram, ms",
                Kind::Size => "histogram, bytes",
                other => other.word(),
            };
            let name = format!("dapr_{}", definition.name);
            let row = format!(
                "| `{name}` | {kind} | {} | {} | {} |",
                labels.collect::<Vec<_>>().join(", "),
                definition.limit,
                cell(definition.help)
            );
            (name, row)
        })
        .collect();
    rows.extend(identity());
    rows.sort();
    for (_, row) in rows {
        page.push_str(&row);
        page.push('\n');
    }
    page.push_str(
        "\nThe process itself: `process_cpu_seconds_total`, `process_open_fds`, `process_max_fds`, `process_threads`, \
         `process_resident_memory_bytes`, `process_virtual_memory_bytes`, `process_start_time_seconds`.\n",
    );
    check("metrics.md", &page);
}

/// The metrics of the identity, which every service has: names, each followed by its help.
fn identity() -> Vec<(String, String)> {
    let text = source("libs/sentry-client/src/observer.rs");
    let quoted: Vec<&str> = text.split('"').skip(1).step_by(2).collect();
    let named = quoted
        .windows(2)
        .filter(|pair| pair[0].starts_with("dapr_"));
    let row = |pair: &[&str]| {
        let (name, help) = (pair[0], pair[1]);
        let kind = if name.ends_with("_total") {
            "counter"
        } else {
            "gauge"
        };
        let labels = if name.contains("_fail_") {
            "reason"
        } else {
            ""
        };
        (
            name.to_owned(),
            format!("| `{name}` | {kind} | {labels} |  | {} |", cell(help)),
        )
    };
    let rows: Vec<_> = named.map(row).collect();
    assert_eq!(
        rows.len(),
        5,
        "the metrics of the identity are written in another way now"
    );
    rows
}
