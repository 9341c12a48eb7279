//! What is around the authority, beside its documents: pods that hold anchors, people who read how it fares.

mod kubernetes;

use std::{collections::BTreeMap, path::PathBuf};

use crate::rotation::{evidence::HolderKey, holders::Pods};
pub(crate) use kubernetes::KubernetesSurroundings;

/// See the module.
pub(crate) enum Surroundings {
    /// A machine: the status is a file, news are in the log, and nobody knows who holds anchors.
    Machine {
        /// Where the status is written.
        status: PathBuf,
    },
    Cluster(Box<KubernetesSurroundings>),
}

/// Why something around here did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {cause}")]
pub(crate) struct SurroundingsError {
    what: &'static str,
    cause: String,
}

/// Something that people should learn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct News {
    /// In one word, for machines.
    pub(crate) reason: &'static str,
    pub(crate) text: String,
    pub(crate) tone: Tone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Normal,
    Warning,
}

impl SurroundingsError {
    fn new(what: &'static str, cause: impl ToString) -> Self {
        Self {
            what,
            cause: cause.to_string(),
        }
    }
}

impl Surroundings {
    /// The pods that hold anchors; `None` where there are no pods.
    pub(crate) async fn pods(&self) -> Result<Option<Pods>, SurroundingsError> {
        match self {
            Self::Machine { .. } => Ok(None),
            Self::Cluster(cluster) => cluster.pods().await.map(Some),
        }
    }

    /// Tells other replicas who trusts the next root.
    pub(crate) async fn share(
        &self,
        holders: &BTreeMap<HolderKey, String>,
    ) -> Result<(), SurroundingsError> {
        match self {
            Self::Machine { .. } => Ok(()),
            Self::Cluster(cluster) => cluster.share(holders).await,
        }
    }

    /// Forgets what was shared.
    pub(crate) async fn forget_shared(&self) -> Result<(), SurroundingsError> {
        match self {
            Self::Machine { .. } => Ok(()),
            Self::Cluster(cluster) => cluster.forget_shared().await,
        }
    }

    /// Publishes how the authority fares.
    pub(crate) async fn publish_status(&self, yaml: &str) -> Result<(), SurroundingsError> {
        match self {
            Self::Machine { status } => std::fs::write(status, yaml)
                .map_err(|error| SurroundingsError::new("cannot write the status", error)),
            Self::Cluster(cluster) => cluster.publish_status(yaml).await,
        }
    }

    /// Says it where people look.
    pub(crate) async fn tell(&self, news: &News) -> Result<(), SurroundingsError> {
        match self {
            // It is in the log.
            Self::Machine { .. } => Ok(()),
            Self::Cluster(cluster) => cluster.tell(news).await,
        }
    }
}
