//! Messages: the blocks, and the task that runs subscriptions.

use std::sync::Arc;

use anyhow::Context as _;

use super::{Ending, Wiring};
use crate::blocks::pubsub::PubSub;
use crate::blocks::subscriptions::{Parts, Subscriptions};

/// The blocks; subscriptions end with the servers, after what is being handled then.
pub(super) fn start(wiring: &Wiring<'_>, ending: &Ending) -> (PubSub, Subscriptions) {
    let config = wiring.config;
    let pubsub = PubSub::new(
        wiring.resources.clone(),
        wiring.resiliency.clone(),
        (&config.environment.namespace, &config.app_id),
    )
    .measured(wiring.metrics.pubsub());
    let (subscriptions, supervisor) = Subscriptions::new(Parts {
        resources: wiring.resources.clone(),
        resiliency: wiring.resiliency.clone(),
        pubsub: pubsub.clone(),
        app: wiring.app.clone(),
        healthy: wiring.healthy.clone(),
        asks: config.app.as_ref().is_some_and(|app| app.asks_subscribe),
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
    (pubsub, subscriptions)
}
