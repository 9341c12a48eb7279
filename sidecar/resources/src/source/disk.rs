//! Files as a source: directories of manifests, and Configuration files.
//!
//! Both are looked at every second; a look costs one `stat` per file. A change reads everything again. What
//! cannot be read any more leaves what it said before in force, until it can be read again or is gone.

mod configuration;
mod document;
mod manifests;

use std::{collections::HashSet, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use trilby_crds::ConfigurationSpec;

use super::{News, Started};
use crate::{config::Environment, resources::LoadError, updater::Event};
use configuration::Configurations;
use manifests::Manifests;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Files that say what there is.
pub(super) struct Disk {
    manifests: Manifests,
    configurations: Configurations,
}

impl Disk {
    pub(super) fn new(
        directories: Vec<PathBuf>,
        configurations: Vec<PathBuf>,
        environment: Environment,
    ) -> Self {
        Self {
            manifests: Manifests::new(directories),
            configurations: Configurations::new(configurations, environment),
        }
    }

    /// Reads everything for the first time; what cannot be used at all is an error now.
    pub(super) fn start(mut self, news: mpsc::Sender<News>) -> Result<Started, LoadError> {
        let spec = self
            .configurations
            .read()
            .map_err(LoadError::Configuration)?;
        let all = self.manifests.read().map_err(LoadError::Disk)?;
        let (sender, configuration) = watch::channel(Arc::new(spec));
        let follow = async move {
            let newer = HashSet::new();
            let first = News::Event(Event::Snapshot { all, newer });
            if news.send(first).await.is_ok() {
                self.follow(news, sender).await;
            }
        };
        Ok(Started {
            configuration,
            follow: Box::pin(follow),
        })
    }

    async fn follow(
        mut self,
        news: mpsc::Sender<News>,
        configuration: watch::Sender<Arc<ConfigurationSpec>>,
    ) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            // Files may be on a slow mount: looking must not hold up the sidecar.
            let looked = spawn_blocking(move || {
                let changes = self.look();
                (self, changes)
            })
            .await;
            let changes;
            match looked {
                Ok((same, found)) => (self, changes) = (same, found),
                Err(error) => {
                    tracing::error!(%error, "looking at resource files failed, changes are no longer seen");
                    return;
                }
            }
            if let Some(spec) = changes.configuration {
                tracing::info!("configuration changed");
                configuration.send_replace(Arc::new(spec));
            }
            if let Some(all) = changes.manifests {
                let newer = HashSet::new();
                let event = News::Event(Event::Snapshot { all, newer });
                if news.send(event).await.is_err() {
                    return;
                }
            }
        }
    }

    fn look(&mut self) -> Changes {
        let manifests = self.manifests.look().and_then(|()| {
            let read = self.manifests.read();
            read.inspect_err(|error| {
                tracing::error!(
                    error,
                    "resource files cannot be used, the last ones stay in force"
                );
            })
            .ok()
        });
        let configuration = self.configurations.look().and_then(|()| {
            let read = self.configurations.read();
            read.inspect_err(|error| {
                tracing::error!(
                    error,
                    "the configuration cannot be used, the last one stays in force"
                );
            })
            .ok()
        });
        Changes {
            manifests,
            configuration,
        }
    }
}

/// What a look found, `None` for nothing new.
struct Changes {
    manifests: Option<Vec<crate::manifest::Received>>,
    configuration: Option<ConfigurationSpec>,
}
