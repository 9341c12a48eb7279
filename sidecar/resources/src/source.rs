//! Where resources come from: the operator or files. Both say the same things about each kind.

mod disk;
mod operator;

use std::{collections::BTreeMap, pin::Pin, sync::Arc};

use tokio::sync::{mpsc, watch};
use trilby_crds::ConfigurationSpec;

use crate::{
    config::{Config, Source},
    control::Control,
    declared::Problems,
    kind::{Kind, Told},
    ledger::Ledger,
    observer::Observer,
    resources::LoadError,
};

/// Whom a source tells what.
pub(crate) struct Audience {
    /// A listener per kind.
    pub(crate) kinds: BTreeMap<Kind, mpsc::Sender<Told>>,
    pub(crate) problems: Arc<Problems>,
    pub(crate) observer: Arc<dyn Observer>,
    /// What became of what it was told.
    pub(crate) ledger: Ledger,
    pub(crate) control: Control,
}

/// A source that is ready to be followed.
pub(crate) struct Started {
    /// The Configuration, as it changes.
    pub(crate) configuration: watch::Receiver<Arc<ConfigurationSpec>>,
    /// Tells all resources, then follows changes. Ends when there is nothing more to follow.
    pub(crate) follow: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Loads the Configuration and prepares to tell the `audience` of resources.
pub(crate) async fn start(
    config: &Config,
    namespace: &str,
    audience: Audience,
) -> Result<Started, LoadError> {
    match &config.source {
        Source::Operator {
            channel,
            configuration,
        } => {
            let operator = operator::Operator::new(channel.clone(), namespace, config, &audience);
            operator.start(configuration.as_deref(), audience).await
        }
        Source::Disk {
            directories,
            configurations,
        } => {
            let environment = config.environment.clone();
            let namespace = config.namespace.clone();
            disk::Disk::new(
                (directories.clone(), namespace),
                configurations.clone(),
                environment,
            )
            .start(audience)
        }
    }
}

impl Audience {
    /// Says something about a kind, waiting while its listener is behind. Without a listener this never returns,
    /// which ends the future that says it.
    pub(crate) async fn tell(&self, kind: Kind, told: Told) {
        let listener = self.kinds.get(&kind);
        match listener {
            Some(listener) if listener.send(told).await.is_ok() => {}
            _ => std::future::pending().await,
        }
    }
}
