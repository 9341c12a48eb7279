//! Where the authority's documents are kept.

mod disk;
mod kubernetes;

use async_trait::async_trait;

use crate::{
    bundle::Documents, jose::SigningKeyError, rotation::Orders, source::SourceError,
    tokens::TokenDocuments,
};

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
    #[error(transparent)]
    Generate(#[from] GenerateError),
}

/// Why documents could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GenerateError {
    #[error("no authority could be generated: {0}")]
    Authority(#[from] SourceError),
    #[error("no key for tokens could be generated: {0}")]
    Tokens(#[from] SigningKeyError),
}

/// Makes what is not there yet.
#[async_trait]
pub(crate) trait Absent: Send + Sync {
    /// An authority; what it has for tokens is not looked at.
    async fn authority(&self) -> Result<Documents, GenerateError>;

    /// What tokens are signed with; `None` where none are issued.
    fn tokens(&self) -> Result<Option<TokenDocuments>, GenerateError>;
}

/// What a store holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Complete, or not there.
    pub(crate) authority: Option<Documents>,
    /// Both documents, or not there.
    pub(crate) tokens: Option<TokenDocuments>,
}

/// What was read, complete.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Loaded {
    pub(crate) documents: Documents,
    /// What is asked for beside them.
    pub(crate) orders: Orders,
    /// What was not as it should be and was put right, if anything was.
    pub(crate) repaired: Option<String>,
}

/// How a replacement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replaced {
    Done,
    /// Somebody else changed the documents first: theirs stay.
    Overtaken,
}

impl Found {
    /// All documents, and whether some of them had to be made.
    async fn complete(self, absent: &dyn Absent) -> Result<(Documents, bool), GenerateError> {
        let complete = self.authority.is_some();
        let authority = match self.authority {
            Some(authority) => authority,
            None => absent.authority().await?,
        };
        let (tokens, fresh) = match self.tokens {
            Some(tokens) => (Some(tokens), false),
            None => {
                let tokens = absent.tokens()?;
                let fresh = tokens.is_some();
                (tokens, fresh)
            }
        };
        let documents = Documents {
            tokens,
            ..authority
        };
        Ok((documents, !complete || fresh))
    }
}

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
    pub(crate) async fn load(&self, absent: &dyn Absent) -> Result<Loaded, StoreError> {
        match self {
            Self::Disk(store) => store.load(absent).await,
            Self::Kubernetes(store) => store.load(absent).await,
        }
    }

    /// Keeps `new` instead of `old`, if `old` is what is kept. Whenever this is cut short, one of both is kept, whole.
    pub(crate) async fn replace(
        &self,
        old: &Documents,
        new: &Documents,
    ) -> Result<Replaced, StoreError> {
        match self {
            Self::Disk(store) => store.replace(old, new),
            Self::Kubernetes(store) => store.replace(old, new).await,
        }
    }
}

/// Whether documents are those that are to be replaced; tokens are another matter.
fn is_same_authority(one: &Documents, other: &Documents) -> bool {
    let parts = |documents: &Documents| {
        let Documents {
            ca,
            issuer,
            key,
            root_key,
            tokens: _,
            rotation,
        } = documents.clone();
        (ca, issuer, key, root_key, rotation)
    };
    parts(one) == parts(other)
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Gives copies.
    pub(crate) struct Copies(pub(crate) Documents);

    #[async_trait]
    impl Absent for Copies {
        async fn authority(&self) -> Result<Documents, GenerateError> {
            Ok(self.0.clone())
        }

        fn tokens(&self) -> Result<Option<TokenDocuments>, GenerateError> {
            Ok(self.0.tokens.clone())
        }
    }
}
