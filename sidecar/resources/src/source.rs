//! Where resources come from: the operator or files. Both feed the same updater.

mod disk;
mod operator;

use std::{pin::Pin, sync::Arc};

use tokio::sync::{mpsc, watch};
use trilby_crds::ConfigurationSpec;

use crate::{
    config::{Config, Source},
    resources::LoadError,
    updater::Event,
};

/// What a source has to say.
#[derive(Debug)]
pub(crate) enum News {
    /// About components.
    Event(Event),
    /// It cannot say anything, and why; for an error if that lasts too long.
    Problem(String),
}

/// A source that is ready to be followed.
pub(crate) struct Started {
    /// The Configuration, as it changes.
    pub(crate) configuration: watch::Receiver<Arc<ConfigurationSpec>>,
    /// Tells all components, then follows changes. Ends when there is nothing more to follow.
    pub(crate) follow: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Loads the Configuration and prepares to tell components to `news`.
pub(crate) async fn start(
    config: &Config,
    namespace: &str,
    news: mpsc::Sender<News>,
) -> Result<Started, LoadError> {
    match &config.source {
        Source::Operator {
            channel,
            configuration,
        } => {
            let operator = operator::Operator::new(channel.clone(), namespace, config);
            operator.start(configuration.as_deref(), news).await
        }
        Source::Disk {
            directories,
            configurations,
        } => {
            let environment = config.environment.clone();
            disk::Disk::new(directories.clone(), configurations.clone(), environment).start(news)
        }
    }
}
