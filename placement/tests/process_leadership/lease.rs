//! Replicas that a Kubernetes Lease makes leaders, with the rights that the chart grants and no more.

use trilby_testkit::{ApiServer, Kube, eventually::eventually, services::Placement};

use crate::{follows, replicas::Replicas};

const ACCOUNT: &str = "dapr-placement";
const LEASE: &str = "lease/placement.dapr.io";

/// What the chart grants where a Lease decides who leads.
async fn rights(kube: &Kube, namespace: &str) -> String {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/dapr");
    let template = "charts/dapr_placement/templates/dapr_placement_lease.yaml";
    let value = "dapr_placement.leaderElection=lease";
    let options = ["--show-only", template, "--set", value];
    kube.helm_template(namespace, chart, &options).await
}

async fn replicas(kube: &Kube, namespace: &str) -> Replicas {
    kube.service_account(namespace, ACCOUNT).await;
    kube.apply(&rights(kube, namespace).await).await;
    let kubeconfig = kube.kubeconfig_of(namespace, ACCOUNT).await;
    let configured = (0..3).map(|_| {
        Placement::new()
            .arg("--leader-election", "lease")
            // So that the Lease, which lasts twice as long, changes hands sooner.
            .arg("--keepalive-timeout", "1s")
            .env("NAMESPACE", namespace)
            .env("KUBECONFIG", kubeconfig.display())
    });
    Replicas::run(configured.collect(), None).await
}

async fn holder(kube: &Kube, namespace: &str) -> String {
    let lease = kube.get_json(namespace, LEASE).await;
    let holder = lease["spec"]["holderIdentity"].as_str();
    holder.expect("somebody holds it").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn whoever_holds_the_lease_leads() {
    let kube = &ApiServer::start_audited().await;
    let namespace = kube.namespace("placement").await;
    let mut replicas = replicas(kube, &namespace).await;
    let (leader, stream) = replicas.leader().await;
    for node in (0..3).filter(|node| *node != leader) {
        follows(&replicas, node, leader).await;
    }
    let first = holder(kube, &namespace).await;

    // Given back when it stops: the next need not wait until it ends.
    drop(stream);
    replicas.nodes[leader].stop().await;
    let (next, _stream) = replicas.leader().await;
    assert_ne!(next, leader);
    assert_ne!(holder(kube, &namespace).await, first);

    // Not given back: it ends by itself.
    let (_took, last) = replicas.fail_over(next).await;
    replicas.nodes[next].start().await;
    follows(&replicas, next, last).await;

    let granted = kube.rights_of(&namespace, ACCOUNT).await;
    let asked = kube.requests_of(&namespace, ACCOUNT).into_iter().collect();
    assert_eq!(granted, asked, "what is granted is what is asked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_frozen_holder_wakes_up_as_a_follower() {
    let kube = ApiServer::shared().await;
    let namespace = kube.namespace("placement").await;
    let replicas = replicas(kube, &namespace).await;
    let (frozen, stream) = replicas.leader().await;
    let first = holder(kube, &namespace).await;
    replicas.freeze(frozen);
    eventually("another holds the lease", async || {
        let holder = holder(kube, &namespace).await;
        if holder == first { Err(holder) } else { Ok(()) }
    })
    .await;
    replicas.thaw(frozen);
    stream.ended().await;
    let (next, _stream) = replicas.leader().await;
    assert_ne!(next, frozen);
    follows(&replicas, frozen, next).await;
}
