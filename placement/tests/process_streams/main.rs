//! The `placement` binary in plain text, seen by raw clients.

mod client;

use std::time::Duration;

use tonic::Code;
use trilby_testkit::{http::Client as Http, services::Placement};

use client::Client;

async fn placement() -> Placement {
    let mut placement = Placement::new().raw_arg("--metadata-enabled");
    placement.start().await;
    placement
}

async fn get(placement: &Placement, path: &str) -> String {
    let url = format!("http://{}{path}", placement.health_address());
    Http::host().get(&url).await.expect("it answers").text()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn host_gets_the_table_in_three_phases() {
    let placement = placement().await;
    let mut host = Client::connect(&placement, "10.0.0.1:50002").await;
    host.report(&["A", "B"]).await;
    let table = host.round(1).await;
    assert_eq!(table, ["A=10.0.0.1:50002", "B=10.0.0.1:50002"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn hosts_share_one_table_and_leave_it() {
    let placement = placement().await;
    let mut one = Client::connect(&placement, "10.0.0.1:50002").await;
    one.report(&["A"]).await;
    one.round(1).await;
    let mut two = Client::connect(&placement, "10.0.0.2:50002").await;
    two.report(&["A"]).await;
    let (of_one, of_two) = tokio::join!(one.round(2), two.round(2));
    assert_eq!(of_one, ["A=10.0.0.1:50002+10.0.0.2:50002"]);
    assert_eq!(of_one, of_two);
    drop(two);
    assert_eq!(one.round(3).await, ["A=10.0.0.1:50002"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn host_without_types_gets_the_table_without_a_round() {
    let placement = placement().await;
    let mut one = Client::connect(&placement, "10.0.0.1:50002").await;
    one.report(&["A"]).await;
    one.round(1).await;
    let mut two = Client::connect(&placement, "10.0.0.2:50002").await;
    two.report(&[]).await;
    assert_eq!(two.round(1).await, ["A=10.0.0.1:50002"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn message_that_makes_no_sense_ends_the_stream() {
    let placement = placement().await;
    let mut host = Client::connect(&placement, "10.0.0.1:50002").await;
    host.app_id.clear();
    host.report(&["A"]).await;
    let status = host.ended().await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "host ID and namespace must be provided");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn foreign_internal_type_is_refused() {
    let placement = placement().await;
    let mut host = Client::connect(&placement, "10.0.0.1:50002").await;
    host.report(&["dapr.internal.default.other.workflow"]).await;
    let status = host.ended().await;
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(
        status.message(),
        "entity dapr.internal.default.other.workflow is not allowed for app ID app in namespace default"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn host_that_does_not_acknowledge_is_disconnected() {
    let mut placement = Placement::new().arg("--disseminate-timeout", "300ms");
    placement.start().await;
    let mut host = Client::connect(&placement, "10.0.0.1:50002").await;
    host.report(&["A"]).await;
    let status = host.ended().await;
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(
        status.message(),
        "dissemination timeout after 300ms for version 1"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn state_and_metrics_show_the_hosts() {
    let placement = placement().await;
    assert_eq!(get(&placement, "/placement/state").await, "{}");
    let mut host = Client::connect(&placement, "10.0.0.1:50002").await;
    host.report(&["A"]).await;
    host.round(1).await;
    assert_eq!(
        get(&placement, "/placement/state").await,
        r#"{"tables":{"default":{"hosts":[{"name":"10.0.0.1:50002","entities":["A"],"id":"app","api_level":20,"namespace":"default","operation":1}],"version":1}}}"#
    );
    let metrics = placement.metrics().await;
    for line in [
        r#"dapr_placement_runtimes_total{host_namespace="default"} 1"#,
        r#"dapr_placement_actor_runtimes_total{host_namespace="default"} 1"#,
        "dapr_placement_leader_status 1",
    ] {
        assert!(
            metrics.lines().any(|it| it == line),
            "{line} is missing in:\n{metrics}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn stopping_ends_streams_at_once() {
    let mut placement = placement().await;
    let mut host = Client::connect(&placement, "10.0.0.1:50002").await;
    host.report(&["A"]).await;
    host.round(1).await;
    let (status, exit) = tokio::join!(host.ended(), placement.stop());
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.message(), "placement server is shutting down");
    assert!(exit.success(), "{exit}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_frozen_host_among_a_hundred_is_left_behind() {
    const HOSTS: usize = 100;
    let placement = placement().await;
    let mut frozen = Client::connect(&placement, "10.0.1.1:50002").await;
    frozen.report(&["A"]).await;
    frozen.round(1).await;
    let mut others = Vec::new();
    for number in 1..HOSTS {
        let host = Client::connect(&placement, &format!("10.0.0.{number}:50002")).await;
        host.report(&["A"]).await;
        let (unlocked, seen) = tokio::sync::watch::channel(0);
        others.push((tokio::spawn(host.follow(unlocked)), seen));
    }
    // It reads nothing and says nothing: all others get a table without it.
    for (_, seen) in &mut others {
        let all = seen.wait_for(|hosts| *hosts == HOSTS - 1);
        let all = tokio::time::timeout(Duration::from_secs(60), all).await;
        all.expect("the round goes on").expect("its stream as well");
    }
    assert_eq!(frozen.ended().await.code(), Code::DeadlineExceeded);
    assert!(others.iter().all(|(stream, _)| !stream.is_finished()));
}
