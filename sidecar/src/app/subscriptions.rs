//! Subscriptions: the block, and the task that runs them.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::watch;

use super::{Ending, Wiring};
use crate::blocks::pubsub::PubSub;
use crate::blocks::subscriptions::{Parts, Subscriptions};

/// The block; its subscriptions end with the servers, after what is being handled then.
pub(super) fn start(
    wiring: &Wiring<'_>,
    (pubsub, healthy): (&PubSub, watch::Receiver<bool>),
    ending: &Ending,
) -> Subscriptions {
    let config = wiring.config;
    let (subscriptions, supervisor) = Subscriptions::new(Parts {
        resources: wiring.resources.clone(),
        resiliency: wiring.resiliency.clone(),
        pubsub: pubsub.clone(),
        app: wiring.app.clone(),
        healthy,
        asks: config.app.as_ref().is_some_and(|app| app.asks_config),
        max_body: config.servers.max_body,
        tracing: wiring.tracing.clone(),
        metrics: wiring.metrics.pubsub(),
    });
    let (serving, in_use) = (ending.serving.clone(), Arc::clone(&ending.in_use));
    wiring.process.spawn("subscriptions", async move {
        let ended = supervisor.run(serving).await;
        drop(in_use);
        ended.context("a subscription")
    });
    subscriptions
}
