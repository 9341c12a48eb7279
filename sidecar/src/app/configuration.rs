//! Configuration: the block, and the task that brings changes to the application.

use super::{Ending, Wiring};
use crate::blocks::configuration::Configuration;

/// The block; its deliveries end with the servers.
pub(super) fn start(wiring: &Wiring<'_>, ending: &Ending) -> Configuration {
    let (configuration, deliveries) = Configuration::new(
        wiring.resources.clone(),
        wiring.resiliency.clone(),
        wiring.app.clone(),
        ending.serving.clone(),
    );
    let (serving, in_use) = (
        ending.serving.clone(),
        std::sync::Arc::clone(&ending.in_use),
    );
    wiring
        .process
        .spawn("configuration-deliveries", async move {
            deliveries.run(serving).await;
            drop(in_use);
            Ok(())
        });
    configuration.measured(wiring.metrics.components())
}
