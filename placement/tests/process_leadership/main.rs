//! Three `placement` binaries, of which one leads.
//!
//! `PLACEMENT_KILLS` sets how often the leader is killed; 10 unless told otherwise.

mod lease;
mod replicas;

use std::time::Duration;

use tonic::Code;
use trilby_testkit::{ApiServer, eventually::eventually, http::Client as Http, mesh::Mesh};

use replicas::{LEADER_KEY, Replicas};

const REFUSAL: &str = "is not a leader. Only the leader can serve requests";

/// Waits until `node` refuses streams and names the leader.
pub(crate) async fn follows(replicas: &Replicas, node: usize, leader: usize) {
    let address = replicas.nodes[leader].grpc_address().to_string();
    eventually("the follower names the leader", async || {
        let Err(status) = replicas.open(node).await else {
            panic!("two lead at once: {node} and {leader}");
        };
        let told = status.metadata().get(LEADER_KEY);
        let told = told.and_then(|address| address.to_str().ok());
        let refused = (Code::FailedPrecondition, Some(address.as_str()));
        if (status.code(), told) == refused && status.message().ends_with(REFUSAL) {
            return Ok(());
        }
        Err(format!("{status:?}"))
    })
    .await;
}

async fn metric(replicas: &Replicas, node: usize, name: &str) -> u64 {
    let text = replicas.nodes[node].metrics().await;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|value| value.trim().parse().ok())
        .unwrap_or_else(|| panic!("{name} is missing in:\n{text}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn one_leads_and_the_healthy_others_name_it() {
    let replicas = Replicas::start(&[("--metadata-enabled", "true")]).await;
    let (leader, _stream) = replicas.leader().await;
    for node in (0..3).filter(|node| *node != leader) {
        follows(&replicas, node, leader).await;
        assert!(replicas.nodes[node].is_healthy().await);
        assert_eq!(
            metric(&replicas, node, "dapr_placement_leader_status ").await,
            0
        );
        let url = format!(
            "http://{}/placement/state",
            replicas.nodes[node].health_address()
        );
        let state = Http::host().get(&url).await.expect("it answers");
        assert_eq!(state.text(), "null");
    }
    assert_eq!(
        metric(&replicas, leader, "dapr_placement_leader_status ").await,
        1
    );
    assert_eq!(
        metric(&replicas, leader, "dapr_placement_raft_leader_status ").await,
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn killed_leader_is_succeeded_again_and_again() {
    let kills = std::env::var("PLACEMENT_KILLS").map_or(10, |it| it.parse().expect("a number"));
    let mut replicas = Replicas::start(&[]).await;
    let (mut leader, _) = replicas.leader().await;
    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..kills {
        let (time, next) = replicas.fail_over(leader).await;
        took.push(time);
        replicas.nodes[leader].start().await;
        follows(&replicas, leader, next).await;
        leader = next;
    }
    took.sort_unstable();
    let (median, longest) = (took[took.len() / 2], took[took.len() - 1]);
    eprintln!("{kills} kills: median {median:?}, longest {longest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn frozen_leader_wakes_up_as_a_follower() {
    let replicas = Replicas::start(&[]).await;
    let (frozen, stream) = replicas.leader().await;
    replicas.freeze(frozen);
    let next = eventually("another leads", async || {
        for node in (0..3).filter(|node| *node != frozen) {
            if let Ok(stream) = replicas.open(node).await {
                return Ok((node, stream));
            }
        }
        Err("nobody else leads")
    })
    .await;
    replicas.thaw(frozen);
    let status = stream.ended().await;
    assert!(
        matches!(status.code(), Code::FailedPrecondition | Code::Unavailable),
        "{status:?}"
    );
    follows(&replicas, frozen, next.0).await;
    assert!(replicas.nodes[frozen].is_healthy().await, "it goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn leader_that_stops_ends_its_streams_and_gives_leadership_back() {
    let mut replicas = Replicas::start(&[]).await;
    let (leader, stream) = replicas.leader().await;
    let (status, exit) = tokio::join!(stream.ended(), replicas.nodes[leader].stop());
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.message(), "placement server is shutting down");
    assert!(exit.success(), "{exit}");
    let log = replicas.nodes[leader].log().tail(20);
    assert!(log.contains("leadership given back"), "{log}");
    let (next, _stream) = replicas.leader().await;
    assert_ne!(next, leader);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn all_restart_with_empty_and_with_kept_terms() {
    // Within the directory that each process has for itself.
    let kept_there = [("--raft-logstore-path", "raft")];
    for (flags, kept) in [(&[][..], false), (&kept_there[..], true)] {
        let mut replicas = Replicas::start(flags).await;
        let (leader, _stream) = replicas.leader().await;
        let before = metric(&replicas, leader, "dapr_placement_leader_term ").await;
        for node in &mut replicas.nodes {
            node.kill().await;
        }
        replicas.nodes.iter_mut().for_each(|node| node.launch());
        let (leader, _stream) = replicas.leader().await;
        let after = metric(&replicas, leader, "dapr_placement_leader_term ").await;
        assert!(!kept || after > before, "{after} after {before}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn replicas_elect_over_mutual_tls_and_a_killed_one_is_succeeded() {
    let mesh = Mesh::start(ApiServer::shared().await).await;
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(mesh.placement().await);
    }
    let mut replicas = trilby_testkit::services::Placement::replicas(nodes);
    replicas.iter_mut().for_each(|node| node.launch());
    for node in &mut replicas {
        node.healthy().await;
    }
    for _ in 0..2 {
        let leader = leader_by_metrics(&replicas).await;
        replicas[leader].kill().await;
        leader_by_metrics(&replicas).await;
        replicas[leader].start().await;
    }
}

/// The one that says it leads, while the others that run say they do not.
async fn leader_by_metrics(replicas: &[trilby_testkit::services::Placement]) -> usize {
    eventually("one of the replicas leads", async || {
        let mut leaders = Vec::new();
        for (place, node) in replicas.iter().enumerate() {
            if node.pid().is_none() {
                continue;
            }
            let metrics = node.metrics().await;
            if metrics
                .lines()
                .any(|line| line == "dapr_placement_leader_status 1")
            {
                leaders.push(place);
            }
        }
        match leaders[..] {
            [leader] => Ok(leader),
            _ => Err(format!("{leaders:?} lead")),
        }
    })
    .await
}
