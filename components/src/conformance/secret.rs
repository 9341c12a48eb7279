//! What every secret store owes its callers, judged by secrets that its test has put there.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use crate::{
    RequestMetadata,
    secret::{Secret, SecretError, SecretStore},
};

/// Requests at once.
const CROWD: usize = 64;

/// What a store holds.
#[derive(Debug, Clone)]
pub struct Held {
    /// Every secret that it has, or some of those of a store that has others.
    pub secrets: BTreeMap<String, Secret>,
    /// Whether it has no others.
    pub complete: bool,
    /// What a name that is not there reads as.
    pub missing: Missing,
}

/// What a name that is not there reads as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// [`SecretError::NotFound`].
    NotFound,
    /// One empty value under the name.
    Empty,
}

impl Held {
    /// Secrets of one or several values each, and no others.
    #[must_use]
    pub fn new(secrets: &[(&str, &[(&str, &str)])]) -> Self {
        let values = |values: &[(&str, &str)]| {
            let values = values.iter();
            values
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        let secrets = secrets.iter();
        Self {
            secrets: secrets
                .map(|(name, pairs)| ((*name).to_owned(), values(pairs)))
                .collect(),
            complete: true,
            missing: Missing::NotFound,
        }
    }
}

/// Runs every rule.
///
/// # Panics
/// When the store breaks a rule.
pub async fn run(store: &dyn SecretStore, held: &Held) {
    assert!(!held.secrets.is_empty(), "a suite about nothing");
    let suite = Suite { store, held };
    suite.secrets_come_back_by_name().await;
    suite.names_are_taken_as_written().await;
    suite.what_is_not_there_is_said().await;
    suite.all_at_once_is_what_each_is_alone().await;
    suite.metadata_of_others_is_ignored().await;
    suite.many_may_ask_at_once().await;
}

struct Suite<'a> {
    store: &'a dyn SecretStore,
    held: &'a Held,
}

impl Suite<'_> {
    async fn get(&self, name: &str) -> Result<Secret, SecretError> {
        self.store.get(name, &RequestMetadata::new()).await
    }

    async fn all(&self) -> BTreeMap<String, Secret> {
        let all = self.store.bulk_get(&RequestMetadata::new()).await;
        all.expect("secrets can be read all at once")
    }

    async fn secrets_come_back_by_name(&self) {
        for (name, secret) in &self.held.secrets {
            assert_eq!(self.get(name).await.as_ref(), Ok(secret), "{name:?}");
        }
    }

    /// A name that only begins like one, or is one in another case, is another one.
    async fn names_are_taken_as_written(&self) {
        for name in self.held.secrets.keys() {
            for other in [format!("{name}-not"), name.to_uppercase()] {
                if !self.held.secrets.contains_key(&other) && self.held.complete {
                    self.is_missing(&other).await;
                }
            }
        }
    }

    async fn what_is_not_there_is_said(&self) {
        for name in ["conformance-none", "conformance none?version=1#x", "%2e%2e"] {
            self.is_missing(name).await;
        }
    }

    async fn is_missing(&self, name: &str) {
        let read = self.get(name).await;
        match self.held.missing {
            Missing::NotFound => match read {
                Err(SecretError::NotFound(text)) => assert!(!text.is_empty(), "{name:?}"),
                // A store may know that nothing can have that name.
                Err(SecretError::InvalidRequest(text)) => {
                    assert!(!text.is_empty() && !is_plain(name), "{name:?}: {text}");
                }
                other => panic!("{name:?} is not there and reads as {other:?}"),
            },
            Missing::Empty => {
                let empty = Secret::from([(name.to_owned(), String::new())]);
                assert_eq!(read, Ok(empty), "{name:?}");
            }
        }
    }

    async fn all_at_once_is_what_each_is_alone(&self) {
        let all = self.all().await;
        for (name, secret) in &self.held.secrets {
            assert_eq!(all.get(name), Some(secret), "{name:?}");
        }
        if self.held.complete {
            let (found, held) = (all.keys(), self.held.secrets.keys());
            assert!(found.clone().eq(held), "there are others: {found:?}");
        }
    }

    async fn metadata_of_others_is_ignored(&self) {
        let metadata = RequestMetadata::from([("conformance".to_owned(), "x".to_owned())]);
        for (name, secret) in &self.held.secrets {
            let read = self.store.get(name, &metadata).await;
            assert_eq!(read.as_ref(), Ok(secret), "{name:?}");
        }
        assert!(self.store.bulk_get(&metadata).await.is_ok());
    }

    async fn many_may_ask_at_once(&self) {
        let names = self.held.secrets.iter().cycle().take(CROWD);
        let reads = names.map(async |(name, secret)| {
            let read = self.get(name).await;
            assert_eq!(read.as_ref(), Ok(secret), "{name:?}");
        });
        join_all(reads).await;
    }
}

/// A name that any store can have.
fn is_plain(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
