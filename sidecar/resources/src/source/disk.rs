//! Files as a source: directories of manifests, and Configuration files.
//!
//! Both are looked at every second; a look costs one `stat` per file. A change reads everything again. What
//! cannot be read any more leaves what it said before in force, until it can be read again or is gone.

mod configuration;
mod document;
mod manifests;

use std::{collections::BTreeMap, collections::HashSet, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use trilby_crds::ConfigurationSpec;

use super::{Audience, Started};
use crate::{
    config::Environment,
    kind::{Kind, Told},
    resource::Problem,
    resources::LoadError,
};
use configuration::Configurations;
use manifests::Manifests;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// What problems of documents go by, in the place of a kind.
pub(crate) const FILE: &str = "file";

/// Files that say what there is.
pub(super) struct Disk {
    manifests: Manifests,
    configurations: Configurations,
}

/// How closely files are looked at.
#[derive(Clone, Copy, PartialEq)]
enum Look {
    /// Read when their stamps changed.
    Stamps,
    /// Read in any case.
    Everything,
}

/// What a look found, `None` for nothing new.
struct Changes {
    manifests: Option<Found>,
    configuration: Option<ConfigurationSpec>,
}

/// What directories say, kind by kind.
type Found = BTreeMap<Kind, Vec<Bytes>>;

impl Disk {
    /// `namespace` is the only one whose resources count, if any is given.
    pub(super) fn new(
        (directories, namespace): (Vec<PathBuf>, Option<String>),
        configurations: Vec<PathBuf>,
        environment: Environment,
    ) -> Self {
        Self {
            manifests: Manifests::new(directories, namespace),
            configurations: Configurations::new(configurations, environment),
        }
    }

    /// Reads everything for the first time; what cannot be used at all is an error now.
    pub(super) fn start(mut self, audience: Audience) -> Result<Started, LoadError> {
        let spec = self
            .configurations
            .read()
            .map_err(LoadError::Configuration)?;
        let found = self.manifests.read().map_err(LoadError::Disk)?;
        self.report(&audience);
        let (sender, configuration) = watch::channel(Arc::new(spec));
        let follow = async move {
            tell(&audience, found).await;
            self.follow(audience, sender).await;
        };
        Ok(Started {
            configuration,
            follow: Box::pin(follow),
        })
    }

    async fn follow(
        mut self,
        mut audience: Audience,
        configuration: watch::Sender<Arc<ConfigurationSpec>>,
    ) {
        if self.manifests.is_empty() && self.configurations.is_empty() {
            return;
        }
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let look = tokio::select! {
                _ = tick.tick() => Look::Stamps,
                () = audience.control.asked() => Look::Everything,
            };
            if look == Look::Stamps && !audience.control.is_following() {
                continue;
            }
            // Files may be on a slow mount: looking must not hold up the sidecar.
            let looked = spawn_blocking(move || {
                let changes = self.look(look);
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
            self.report(&audience);
            if let Some(spec) = changes.configuration {
                publish(&configuration, spec);
            }
            if let Some(found) = changes.manifests {
                tell(&audience, found).await;
            }
        }
    }

    fn look(&mut self, look: Look) -> Changes {
        let manifests = (self.manifests.look() || look == Look::Everything).then(|| {
            let read = self.manifests.read();
            read.inspect_err(|error| {
                tracing::error!(
                    error,
                    "resource files cannot be used, the last ones stay in force"
                );
            })
            .ok()
        });
        let configuration = (self.configurations.look() || look == Look::Everything).then(|| {
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
            manifests: manifests.flatten(),
            configuration: configuration.flatten(),
        }
    }

    /// Says which documents cannot be used, and counts those that are new.
    fn report(&mut self, audience: &Audience) {
        let mut problems = self.manifests.problems();
        problems.extend(self.configurations.problem());
        for _ in 0..self.manifests.take_failures() {
            audience.observer.unusable("");
        }
        let problems = problems.into_iter().map(|(name, reason)| Problem {
            kind: FILE,
            name,
            reason,
        });
        audience.problems.replace(FILE, problems);
    }
}

async fn tell(audience: &Audience, mut found: Found) {
    for kind in Kind::ALL {
        let all = found.remove(&kind).unwrap_or_default();
        let newer = HashSet::new();
        audience.tell(kind, Told::Snapshot { all, newer }).await;
    }
}

fn publish(configuration: &watch::Sender<Arc<ConfigurationSpec>>, spec: ConfigurationSpec) {
    let changed = configuration.send_if_modified(|old| {
        let changed = **old != spec;
        if changed {
            *old = Arc::new(spec);
        }
        changed
    });
    if changed {
        tracing::info!("configuration changed");
    }
}
