//! A real OpenTelemetry Collector.

use std::net::SocketAddr;
use std::process::Command;

use tokio::net::TcpStream;

use crate::eventually::eventually;
use crate::ports::Port;
use crate::process::{Log, Process};
use crate::programs;
use crate::state_dir::StateDir;

/// A collector that takes OTLP over gRPC and HTTP, and remembers the spans.
#[derive(Debug)]
pub struct Collector {
    grpc: Port,
    http: Port,
    log: Log,
    _process: Process,
    _dir: StateDir,
}

/// One span, as the collector prints it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    /// `service.name` of the resource it came from.
    pub service: String,
    /// Trace id, hexadecimal.
    pub trace: String,
    /// Span id, hexadecimal.
    pub id: String,
    /// Span id of the parent; empty if it has none.
    pub parent: String,
    /// Name.
    pub name: String,
    /// `Server`, `Client`, `Internal`, ...
    pub kind: String,
}

impl Collector {
    /// Starts one.
    ///
    /// # Panics
    /// If it is not installed or does not come up.
    pub async fn start() -> Self {
        let (grpc, http, dir) = (Port::free(), Port::free(), StateDir::create("collector"));
        let config = dir.join("config.yaml");
        std::fs::write(&config, configuration(&grpc, &http))
            .unwrap_or_else(|error| panic!("{}: {error}", config.display()));
        let program =
            programs::peer("servers/collector").unwrap_or_else(|error| panic!("{error:#}"));
        let mut command = Command::new(program);
        command.arg(&config);
        let log = Log::at(dir.join("log"));
        let process = Process::spawn("collector", command, log.clone())
            .unwrap_or_else(|error| panic!("starting the collector: {error}"));
        for port in [&grpc, &http] {
            eventually("the collector listens", async || {
                TcpStream::connect(port.address()).await.map(drop)
            })
            .await;
        }
        Self {
            grpc,
            http,
            log,
            _process: process,
            _dir: dir,
        }
    }

    /// Where it takes OTLP over gRPC.
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc.address()
    }

    /// Where it takes OTLP over HTTP.
    pub fn http_address(&self) -> SocketAddr {
        self.http.address()
    }

    /// The spans that it has got, oldest first.
    pub fn spans(&self) -> Vec<Span> {
        spans(&self.log.text())
    }
}

fn configuration(grpc: &Port, http: &Port) -> String {
    format!(
        "receivers:\n  otlp:\n    protocols:\n      grpc: {{endpoint: '{}'}}\n      http: {{endpoint: '{}'}}\n\
         exporters:\n  debug: {{verbosity: detailed}}\n\
         service:\n  telemetry: {{metrics: {{level: none}}}}\n  \
         pipelines:\n    traces: {{receivers: [otlp], exporters: [debug]}}\n",
        grpc.address(),
        http.address()
    )
}

/// Reads what the debug exporter prints: `key : value` lines below a `Span #n`, resources as `-> service.name: Str(x)`.
fn spans(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut service = String::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("Span #") {
            spans.push(Span {
                service: service.clone(),
                ..Span::default()
            });
        } else if let Some(name) = line.strip_prefix("-> service.name: Str(") {
            name.trim_end_matches(')').clone_into(&mut service);
        } else if let (Some(span), Some((key, value))) = (spans.last_mut(), line.split_once(" : "))
        {
            set(span, key.trim(), value.trim());
        }
    }
    spans
}

fn set(span: &mut Span, key: &str, value: &str) {
    let field = match key {
        "Trace ID" => &mut span.trace,
        "ID" => &mut span.id,
        "Parent ID" => &mut span.parent,
        "Name" => &mut span.name,
        "Kind" => &mut span.kind,
        _ => return,
    };
    value.clone_into(field);
}
