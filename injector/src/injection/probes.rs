//! When the sidecar is ready, when it is dead, and when what waits for it may start.

use k8s_openapi::{
    api::core::v1::{HTTPGetAction, Probe, TCPSocketAction},
    apimachinery::pkg::util::intstr::IntOrString,
};
use trilby_sidecar_args::{annotation, port};

use super::annotations::Annotations;

/// Seconds that a native sidecar may take until other containers start; it is started anew after that. Components that
/// wait for their servers are the slowest part of a start.
const STARTUP_SECONDS: i32 = 120;

/// The times of one probe, in seconds, and how many failures count.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProbeTimes {
    delay: i32,
    timeout: i32,
    period: i32,
    threshold: i32,
}

pub(super) fn readiness_times(annotations: &mut Annotations<'_>) -> ProbeTimes {
    let mut number = |key, default| seconds(annotations, key, default);
    ProbeTimes {
        delay: number(annotation::SIDECAR_READINESS_PROBE_DELAY_SECONDS, 1),
        timeout: number(annotation::SIDECAR_READINESS_PROBE_TIMEOUT_SECONDS, 1),
        period: number(annotation::SIDECAR_READINESS_PROBE_PERIOD_SECONDS, 1),
        threshold: number(annotation::SIDECAR_READINESS_PROBE_THRESHOLD, 5),
    }
}

pub(super) fn liveness_times(annotations: &mut Annotations<'_>) -> ProbeTimes {
    let mut number = |key, default| seconds(annotations, key, default);
    ProbeTimes {
        delay: number(annotation::SIDECAR_LIVENESS_PROBE_DELAY_SECONDS, 180),
        timeout: number(annotation::SIDECAR_LIVENESS_PROBE_TIMEOUT_SECONDS, 3),
        period: number(annotation::SIDECAR_LIVENESS_PROBE_PERIOD_SECONDS, 10),
        threshold: number(annotation::SIDECAR_LIVENESS_PROBE_THRESHOLD, 5),
    }
}

/// What is below 0 is handed on, as upstream does, and Kubernetes then refuses the pod: its author is told why.
fn seconds(annotations: &mut Annotations<'_>, key: &str, default: i32) -> i32 {
    let number = annotations.number(key).unwrap_or(default);
    if number < 0 {
        annotations.warn(
            key,
            format_args!("{number} is below 0, which Kubernetes refuses"),
        );
    }
    number
}

pub(super) fn readiness(times: ProbeTimes) -> Probe {
    Probe {
        http_get: Some(get("/v1.0/healthz")),
        ..probe(times)
    }
}

/// Only whether something listens: a sidecar that waits for its app is alive.
pub(super) fn liveness(times: ProbeTimes) -> Probe {
    Probe {
        tcp_socket: Some(TCPSocketAction {
            port: public_port(),
            ..TCPSocketAction::default()
        }),
        ..probe(times)
    }
}

/// Calls to others are possible. That the app is there as well cannot be asked for: it starts after that.
pub(super) fn startup() -> Probe {
    Probe {
        http_get: Some(get("/v1.0/healthz/outbound")),
        period_seconds: Some(1),
        timeout_seconds: Some(1),
        failure_threshold: Some(STARTUP_SECONDS),
        ..Probe::default()
    }
}

fn get(path: &str) -> HTTPGetAction {
    HTTPGetAction {
        path: Some(path.to_owned()),
        port: public_port(),
        ..HTTPGetAction::default()
    }
}

fn probe(times: ProbeTimes) -> Probe {
    // Upstream leaves a zero out, which Kubernetes then takes for its own default.
    let some = |number: i32| (number != 0).then_some(number);
    Probe {
        initial_delay_seconds: some(times.delay),
        timeout_seconds: some(times.timeout),
        period_seconds: some(times.period),
        failure_threshold: some(times.threshold),
        ..Probe::default()
    }
}

fn public_port() -> IntOrString {
    IntOrString::Int(port::PUBLIC.into())
}
