//! Five hundred pods are created while no injector answers.

#![allow(clippy::print_stdout, reason = "how long it took is worth knowing")]

use std::time::Duration;

use anyhow::ensure;
use serde_json::json;
use tokio::time::{Instant, sleep};
use trilby_testkit::{ApiServer, eventually::within};

use crate::{
    installation::{Installation, Rights},
    workloads::{Census, bare, census, counted, deployment, told},
};

const DEPLOYMENTS: u32 = 10;
const EACH: u32 = 50;
const PODS: usize = 500;
/// Patience with five hundred pods on a machine that has much else to do. How long it took is printed.
const LIMIT: Duration = Duration::from_secs(600);

/// A cluster whose injector was there, and is gone.
async fn abandoned(values: &[&str]) -> Installation {
    let mut installation = Installation::on(ApiServer::start().await, Rights::Chart).await;
    installation.start_authority();
    installation.install_chart(values).await;
    installation.injector.start().await;
    installation.injector.kill().await;
    installation
}

async fn create_pods(installation: &Installation, namespace: &str) {
    let name = |number| format!("app-{number}");
    let items: Vec<_> = (0..DEPLOYMENTS)
        .map(|number| deployment(namespace, &name(number), EACH, &json!({})))
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    installation.api.apply(&list.to_string()).await;
}

/// Between two counts, each of which is work that the machine could do for the pods.
const BREATH: Duration = Duration::from_secs(1);

/// Waits for the census, and prints how long it took.
async fn becomes(installation: &Installation, namespace: &str, what: &str, wanted: Census) {
    let began = Instant::now();
    within(LIMIT, what, async || {
        let seen = match census(&installation.api, namespace).await {
            Ok(seen) if seen == wanted => return Ok(()),
            Ok(seen) => format!("{seen:?}"),
            Err(error) => format!("{error:#}"),
        };
        sleep(BREATH).await;
        Err(seen)
    })
    .await;
    println!("{what}: {:.1} s", began.elapsed().as_secs_f64());
}

#[tokio::test]
async fn pods_that_came_past_the_webhook_are_told_of_and_then_made_anew() {
    const REPAIR: [&str; 1] = ["dapr_sidecar_injector.podsWithoutSidecar=repair"];
    let mut installation = abandoned(&[]).await;
    let namespace = installation.api.namespace("shop").await;
    create_pods(&installation, &namespace).await;
    let (pods, none) = (PODS, 0);
    let lost = Census { pods, served: none };
    becomes(&installation, &namespace, "pods without sidecar", lost).await;

    let injector = &mut installation.injector;
    *injector = std::mem::replace(injector, trilby_testkit::services::Injector::new(""))
        .arg("--pods-without-sidecar", "warn");
    injector.start().await;
    let began = Instant::now();
    within(LIMIT, "all are told of", async || -> anyhow::Result<()> {
        let counted = counted(&installation.injector, &namespace).await;
        let pods = told(&installation.api, &namespace, "Pod", "NoSidecar")
            .await?
            .len();
        let owners = told(&installation.api, &namespace, "Deployment", "NoSidecar").await?;
        ensure!(
            (counted, pods, owners.len()) == (500, PODS, 10),
            "{counted} counted, {pods} told of, {owners:?}"
        );
        Ok(())
    })
    .await;
    println!("told of all: {:.1} s", began.elapsed().as_secs_f64());
    let seen = census(&installation.api, &namespace).await.unwrap();
    assert_eq!(seen, lost, "nobody touched them");

    installation.injector.kill().await;
    installation.install_chart(&REPAIR).await;
    let injector = &mut installation.injector;
    *injector = std::mem::replace(injector, trilby_testkit::services::Injector::new(""))
        .arg("--pods-without-sidecar", "repair")
        .arg("--repairs-per-minute", 1000);
    injector.start().await;
    let repaired = Census { pods, served: pods };
    becomes(&installation, &namespace, "repaired", repaired).await;
    trilby_testkit::assert_eventually!(counted(&installation.injector, &namespace).await == 0);
}

#[tokio::test]
async fn with_fail_no_pod_comes_without_and_nothing_else_is_refused() {
    let fail = "dapr_sidecar_injector.webhookFailurePolicy=Fail";
    let mut installation = abandoned(&[fail]).await;
    let kube = &installation.api;
    for namespace in ["kube-system", &installation.namespace] {
        let pod = bare(namespace, "asks", &json!({}));
        kube.apply(&pod.to_string()).await;
    }
    let namespace = kube.namespace("shop").await;
    let mut plain = bare(&namespace, "plain", &json!({}));
    plain["metadata"]["annotations"] = json!({"dapr.io/app-id": "plain"});
    kube.apply(&plain.to_string()).await;
    let pod = bare(&namespace, "asks", &json!({}));
    let refused = kube.try_apply(&pod.to_string()).await.expect_err("refused");
    assert!(format!("{refused:#}").contains("sidecar-injector.dapr.io"));
    kube.delete(&plain.to_string()).await;

    create_pods(&installation, &namespace).await;
    let events = async || -> anyhow::Result<()> {
        let failed = told(&installation.api, &namespace, "ReplicaSet", "FailedCreate").await?;
        ensure!(failed.len() == 10, "{failed:?}");
        Ok(())
    };
    within(LIMIT, "the controllers are refused", events).await;
    let seen = census(&installation.api, &namespace).await.unwrap();
    assert_eq!(seen, Census { pods: 0, served: 0 });
    installation.injector.start().await;
    let (pods, served) = (PODS, PODS);
    becomes(
        &installation,
        &namespace,
        "created",
        Census { pods, served },
    )
    .await;
}
