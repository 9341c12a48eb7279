//! Two sidecars with mutual TLS between them, their identities from a sentry of ours.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use trilby_testkit::services::{Daprd, Sentry};

use crate::call::{Call, Protocol};

/// A caller without an app and a callee with one.
pub(crate) struct Pair {
    caller: Daprd,
    callee: Daprd,
    _sentry: Sentry,
    name: String,
    protocol: Protocol,
    requests: usize,
    spent: [u64; 2],
    marked: [u64; 2],
}

impl Pair {
    /// Starts both from this binary, self-hosted; the caller finds the callee by a fixed address.
    pub(crate) async fn start(binary: PathBuf, protocol: Protocol, app_port: u16) -> Self {
        let (sentry, anchors) = start_sentry().await;
        let name = binary
            .parent()
            .and_then(Path::file_name)
            .unwrap_or_default()
            .display()
            .to_string();
        let callee = with_identity(Daprd::new("callee"), &sentry, &anchors).app_port(app_port);
        let app_protocol = match protocol {
            Protocol::Http => "http",
            Protocol::Grpc => "grpc",
        };
        let callee = callee.arg("--app-protocol", app_protocol);
        let mut callee = callee.binary(binary.clone());
        callee.start().await;
        let caller = with_identity(Daprd::new("caller"), &sentry, &anchors).binary(binary);
        let configuration = caller.file(
            "configuration.yaml",
            &fixed_address(callee.internal_address()),
        );
        let mut caller = caller.arg("--config", configuration.display());
        caller.start().await;
        Self {
            caller,
            callee,
            _sentry: sentry,
            name,
            protocol,
            requests: 0,
            spent: [0; 2],
            marked: [0; 2],
        }
    }

    /// For the report: the directory of the binary.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The call of the callee's app through both.
    pub(crate) fn call(&self) -> Call {
        match self.protocol {
            Protocol::Http => Call {
                protocol: self.protocol,
                address: self.caller.http_address(),
                path: "/v1.0/invoke/callee/method/echo",
                app_id: None,
            },
            Protocol::Grpc => Call {
                protocol: self.protocol,
                address: self.caller.grpc_address(),
                path: "/bench.Echo/Echo",
                app_id: Some("callee"),
            },
        }
    }

    /// Counts anew.
    pub(crate) fn begin(&mut self) {
        self.requests = 0;
        self.spent = [0; 2];
        self.mark();
    }

    /// CPU from here on may be counted.
    pub(crate) fn mark(&mut self) {
        self.marked = self.ticks();
    }

    /// Counts these requests, and the CPU since the mark.
    pub(crate) fn count(&mut self, requests: usize) {
        self.requests += requests;
        let now = self.ticks();
        for (spent, (now, marked)) in self.spent.iter_mut().zip(now.iter().zip(self.marked)) {
            *spent += now - marked;
        }
    }

    /// Of the caller and of the callee.
    pub(crate) fn cpu_microseconds_per_request(&self) -> [f64; 2] {
        // USER_HZ, the unit of /proc/<pid>/stat, is 100 on every Linux that matters here.
        self.spent
            .map(|ticks| ticks as f64 * 10_000.0 / self.requests as f64)
    }

    /// Of the caller and of the callee, now.
    pub(crate) fn rss_megabytes(&self) -> [f64; 2] {
        self.pids().map(|pid| {
            let pages = field(&format!("/proc/{pid}/statm"), 1);
            pages as f64 * 4096.0 / 1024.0 / 1024.0
        })
    }

    fn ticks(&self) -> [u64; 2] {
        self.pids().map(|pid| {
            let stat = format!("/proc/{pid}/stat");
            field(&stat, 13) + field(&stat, 14)
        })
    }

    fn pids(&self) -> [u32; 2] {
        [&self.caller, &self.callee].map(|daprd| daprd.pid().expect("it runs"))
    }
}

async fn start_sentry() -> (Sentry, String) {
    let sentry = Sentry::new();
    let directory = sentry.file("configuration.yaml", CONFIGURATION);
    let credentials = directory.with_file_name("credentials");
    fs::create_dir_all(&credentials).expect("the directory is writable");
    let mut sentry = sentry
        .arg("--config", directory.display())
        .arg("--issuer-credentials", credentials.display())
        .arg("--trust-domain", "localhost");
    sentry.start().await;
    let anchors = fs::read_to_string(credentials.join("ca.crt")).expect("sentry wrote its anchors");
    (sentry, anchors)
}

const CONFIGURATION: &str = "apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata:
  name: sentry
spec: {}
";

fn with_identity(daprd: Daprd, sentry: &Sentry, anchors: &str) -> Daprd {
    daprd
        .raw_arg("--enable-mtls")
        .arg("--sentry-address", sentry.grpc_address())
        .arg("--control-plane-trust-domain", "localhost")
        .arg("--control-plane-namespace", "default")
        .env("DAPR_TRUST_ANCHORS", anchors)
}

/// A Configuration with which every app id is found at this address.
fn fixed_address(address: SocketAddr) -> String {
    format!(
        "apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata:
  name: fixed
spec:
  nameResolution:
    component: kubernetes
    version: v1
    configuration:
      template: \"{address}\"
"
    )
}

fn field(path: &str, index: usize) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    // The program's name, in parentheses, may hold spaces: nothing of ours does.
    text.split_whitespace()
        .nth(index)
        .and_then(|field| field.parse().ok())
        .unwrap_or_default()
}
