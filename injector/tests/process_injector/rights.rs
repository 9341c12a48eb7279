//! What the injector asks of the API server is what the chart grants it, for each of the modes.

use std::{collections::BTreeSet, time::Duration};

use anyhow::ensure;
use serde_json::json;
use trilby_testkit::{ApiServer, eventually::within};

use crate::{
    installation::{ACCOUNT, Installation, Rights},
    workloads::{Census, census, deployment, told},
};

const LIMIT: Duration = Duration::from_secs(120);

/// Pods come past the webhook, are found, and in the mode of repair made anew.
async fn work(mode: &str) -> Installation {
    let mut installation = Installation::on(ApiServer::start_audited().await, Rights::Chart).await;
    let value = format!("dapr_sidecar_injector.podsWithoutSidecar={mode}");
    installation.start_authority();
    installation.install_chart(&[&value]).await;
    let namespace = installation.api.namespace("shop").await;
    let lost = deployment(&namespace, "lost", 2, &json!({}));
    installation.api.apply(&lost.to_string()).await;
    let wanted = Census { pods: 2, served: 0 };
    let created = async || -> anyhow::Result<()> {
        let seen = census(&installation.api, &namespace).await?;
        ensure!(seen == wanted, "{seen:?}");
        Ok(())
    };
    within(LIMIT, "pods came past the webhook", created).await;
    let injector = &mut installation.injector;
    *injector = std::mem::replace(injector, trilby_testkit::services::Injector::new(""))
        .arg("--pods-without-sidecar", mode);
    injector.start().await;
    let done = async || -> anyhow::Result<()> {
        let owners = told(&installation.api, &namespace, "Deployment", "NoSidecar").await?;
        let seen = census(&installation.api, &namespace).await?;
        let (told, served) = match mode {
            "off" => (0, 0),
            "warn" => (1, 0),
            _ => (1, 2),
        };
        ensure!(
            (owners.len(), seen.served) == (told, served),
            "{owners:?} {seen:?}"
        );
        Ok(())
    };
    within(LIMIT, "the work is done", done).await;
    installation
}

async fn rights_are_used(mode: &str) {
    let installation = work(mode).await;
    let granted = installation
        .api
        .rights_of(&installation.namespace, ACCOUNT)
        .await;
    // The lease is renewed every 2 s, and watches begin after their lists.
    let equal = async || -> anyhow::Result<()> {
        let asked = installation
            .api
            .requests_of(&installation.namespace, ACCOUNT);
        let asked: BTreeSet<String> = asked
            .into_iter()
            .filter(|request| request.contains(' ') && !request.contains(" /"))
            .collect();
        let unused: Vec<_> = granted.difference(&asked).collect();
        let missing: Vec<_> = asked.difference(&granted).collect();
        ensure!(
            unused.is_empty() && missing.is_empty(),
            "unused {unused:?}, missing {missing:?}"
        );
        Ok(())
    };
    within(LIMIT, "what is granted is asked for", equal).await;
}

#[tokio::test]
async fn without_anybody_who_looks_after_pods() {
    rights_are_used("off").await;
}

#[tokio::test]
async fn with_warnings() {
    rights_are_used("warn").await;
}

#[tokio::test]
async fn with_repair() {
    rights_are_used("repair").await;
}
