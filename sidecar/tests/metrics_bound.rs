//! Metrics under an attack of names. Alone in its process, whose memory it measures.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use http::{Method, StatusCode};
use tokio::time::Instant;
use tonic::Code;
use trilby_actors::Observer as _;
use trilby_bootstrap::Exposition as _;
use trilby_sidecar::metrics::{CallKind, Completed, Metrics, Served, Settings, Sizes};

/// What a million names may cost, in bytes.
const BOUND: u64 = 5 << 20;
const NAMES: u32 = 1_000_000;
const KINDS: u32 = 8;

/// Memory of this process that is in use, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

/// Each name attacks one kind of metrics; all kinds in turn.
fn attack(metrics: &Metrics, number: u32, start: Instant) {
    let (method, sizes) = (&Method::GET, Sizes::default());
    let path =
        format!("/v1.0/invoke/app-{number}/method/orders/{number}/of/a/long/winded/customer");
    let served = Served {
        method,
        path: &path,
        status: StatusCode::OK,
        sizes,
    };
    let call = Completed {
        method: &format!("/attack.v1.Service{number}/Method"),
        status: Code::Ok,
        sizes: Some(sizes),
    };
    let app_id = format!("app-{number}");
    let calls = metrics.invocation();
    match number % KINDS {
        0 => metrics.http_server().served(&served, start),
        1 => metrics.http_client().called(&served, start),
        2 => metrics.grpc_server().served(&call, start),
        3 => metrics.grpc_client().called(&call, start),
        4 => calls.received(&app_id),
        5 => calls.answered(&app_id, 200),
        6 => calls.sent(&app_id, CallKind::Unary).received(200),
        _ => metrics.actors().rebalanced(&app_id),
    }
}

fn scraped(metrics: &Metrics) -> usize {
    metrics.pieces().map(|piece| piece.len()).sum()
}

#[test]
fn a_million_paths_app_ids_methods_and_actor_types_cost_five_megabytes_at_most() {
    let metrics = Metrics::new("shop", "default", &Settings::default());
    let start = Instant::now();
    for number in 0..KINDS {
        attack(&metrics, number, start);
    }
    let (before, first) = (resident(), scraped(&metrics));
    for number in 0..NAMES {
        attack(&metrics, number, start);
    }
    let after_names = scraped(&metrics);
    let grown = resident().saturating_sub(before);
    assert!(grown <= BOUND, "grew by {grown} bytes");
    // Nothing is lost: what has no series of its own is counted as another.
    let text = String::from_utf8(metrics.pieces().collect::<Vec<_>>().concat()).unwrap();
    let received: u64 = text
        .lines()
        .filter(|line| line.starts_with("dapr_runtime_service_invocation_req_recv_total{"))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
        .sum();
    assert_eq!(received, u64::from(NAMES / KINDS) + 1);
    assert!(text.contains(r#"req_recv_total{app_id="shop",src_app_id="other"}"#));
    assert!(
        first < after_names && after_names < 64 << 20,
        "{after_names}"
    );
}
