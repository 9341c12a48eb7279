use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use prometheus::IntCounter;

use super::{Admin, AdminReply, AdminRoutes, Health};
use crate::{
    metrics::{Exposition, Metrics},
    net,
    readiness::Readiness,
};

struct Servers {
    health: SocketAddr,
    metrics: SocketAddr,
    readiness: Readiness,
    routes: AdminRoutes,
    all: Metrics,
}

fn start() -> Servers {
    let (readiness, routes) = (Readiness::default(), AdminRoutes::default());
    let all = Metrics::default();
    let health_listener = net::listen("127.0.0.1", 0).expect("listens");
    let metrics_listener = net::listen("127.0.0.1", 0).expect("listens");
    let (health, metrics) = (
        health_listener.local_addr().expect("bound"),
        metrics_listener.local_addr().expect("bound"),
    );
    let mut admin = Admin::default();
    let answers = Health {
        readiness: readiness.clone(),
        routes: routes.clone(),
        log: None,
    };
    admin.health(health_listener, answers).expect("added");
    admin.metrics(metrics_listener, all.clone()).expect("added");
    admin.start().expect("starts");
    Servers {
        health,
        metrics,
        readiness,
        routes,
        all,
    }
}

/// The whole answer to `GET path`, head and body.
fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connects");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"
    )
    .expect("writes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("reads");
    answer
}

#[test]
fn health_names_what_is_missing_until_all_is_ready() {
    let servers = start();
    let latch = servers.readiness.latch("operator-cache");
    latch.unready("waiting for components.dapr.io");
    let answer = get(servers.health, "/healthz");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(
        answer.ends_with("not ready\noperator-cache: waiting for components.dapr.io\n"),
        "{answer}"
    );
    latch.ready();
    let answer = get(servers.health, "/healthz");
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
}

#[test]
fn metrics_are_served_at_any_path() {
    let servers = start();
    let counter =
        IntCounter::new("dapr_operator_service_created_total", "Created.").expect("valid");
    servers
        .all
        .registry()
        .register(Box::new(counter.clone()))
        .expect("registers");
    counter.inc();
    for path in ["/", "/metrics", "/any/path?x=1"] {
        let answer = get(servers.metrics, path);
        assert!(
            answer.contains("\ndapr_operator_service_created_total 1\n"),
            "{answer}"
        );
    }
}

#[test]
fn services_add_routes_after_the_start() {
    let servers = start();
    assert!(get(servers.health, "/placement/state").starts_with("HTTP/1.1 404 "));
    servers.routes.insert(
        "/placement/state",
        Arc::new(|| AdminReply::json("{}".to_owned())),
    );
    let answer = get(servers.health, "/placement/state");
    assert!(
        answer.contains("content-type: application/json") && answer.ends_with("{}"),
        "{answer}"
    );
}

#[test]
fn the_log_level_is_out_of_reach_unless_it_was_handed_over() {
    let servers = start();
    assert!(get(servers.health, "/log-level/debug").starts_with("HTTP/1.1 404 "));
}

struct Lines(u32);

impl Exposition for Lines {
    fn pieces(&self) -> Box<dyn Iterator<Item = bytes::Bytes> + Send> {
        Box::new((0..self.0).map(|line| format!("line{line} 1\n").into()))
    }
}

#[test]
fn what_writes_itself_follows_what_is_registered() {
    let servers = start();
    let counter = IntCounter::new("first_total", "First.").expect("valid");
    let registered = servers.all.registry().register(Box::new(counter));
    registered.expect("registers");
    servers.all.expose(Arc::new(Lines(3)));
    let answer = get(servers.metrics, "/");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let positions = ["first_total 0", "line0 1", "line1 1", "line2 1"].map(|text| {
        answer
            .find(text)
            .unwrap_or_else(|| panic!("{text} in {answer}"))
    });
    assert!(positions.is_sorted(), "{answer}");
}
