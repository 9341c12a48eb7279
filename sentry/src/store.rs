//! Where the authority's documents are kept.

mod disk;
mod kubernetes;

use crate::bundle::Documents;

pub(crate) use disk::DiskStore;
pub(crate) use kubernetes::{Keys, KubernetesStore};

/// Why documents could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("{what} {path}: {source}")]
    File {
        what: &'static str,
        path: String,
        source: std::io::Error,
    },
    #[error("{kind} {name} does not exist; the chart creates it")]
    Missing { kind: &'static str, name: String },
    #[error("{what} {kind} {name}: {cause}")]
    Api {
        what: &'static str,
        kind: &'static str,
        name: String,
        cause: String,
    },
    #[error("Secret {0}: others kept writing to it")]
    Contended(String),
    #[error("no authority could be generated: {0}")]
    Generate(#[from] rcgen::Error),
}

/// Makes the documents to keep when there are none.
pub(crate) type Absent<'a> = dyn Fn() -> Result<Documents, rcgen::Error> + Send + Sync + 'a;

/// A place that holds one set of documents.
pub(crate) enum Store {
    /// Files.
    Disk(DiskStore),
    /// A Secret, and a ConfigMap with the public part.
    Kubernetes(Box<KubernetesStore>),
}

impl Store {
    /// What is kept. If that is incomplete, what `absent` makes is kept from now on, unless
    /// somebody else was faster: then what they made is returned.
    pub(crate) async fn load(&self, absent: &Absent<'_>) -> Result<Documents, StoreError> {
        match self {
            Self::Disk(store) => store.load(absent),
            Self::Kubernetes(store) => store.load(absent).await,
        }
    }
}
