//! `state.fake` and `secretstores.fake`: both are created with a `tag`, and a `mode` of that tag may be set
//! from outside: refuse, be away, or hang.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::{
    RequestMetadata,
    metadata::{Metadata, Schema},
    registry::{Backend, InitError, Registry},
    secret::{Secret, SecretError, SecretStore},
    state::{
        DeleteRequest, Feature, GetRequest, Item, Operation, SetRequest, StateError, StateStore,
        Transactional,
    },
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Refuse,
    Away,
    Hang,
}

/// What happened to the components of a test, and what shall.
#[derive(Clone, Default)]
pub(crate) struct Backends {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    modes: HashMap<String, Mode>,
    created: Vec<String>,
    closed: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Settings {
    tag: String,
    #[serde(default)]
    secret: String,
}

impl Schema for Settings {}

impl Backends {
    pub(crate) fn registry(&self) -> Registry {
        let (state, secret) = (self.clone(), self.clone());
        Registry::in_memory().with(vec![
            Backend::state("fake", move |_, metadata| {
                let backends = state.clone();
                async move {
                    let store = backends.create(&metadata).await?;
                    Ok(Arc::new(store) as Arc<dyn StateStore>)
                }
            }),
            Backend::secret_store("fake", move |_, metadata| {
                let backends = secret.clone();
                async move {
                    let store = backends.create(&metadata).await?;
                    Ok(Arc::new(store) as Arc<dyn SecretStore>)
                }
            }),
        ])
    }

    /// What happens to components that are created with this tag from now on.
    pub(crate) fn set(&self, tag: &str, mode: Option<Mode>) {
        let mut state = self.state.lock();
        match mode {
            Some(mode) => state.modes.insert(tag.to_owned(), mode),
            None => state.modes.remove(tag),
        };
    }

    /// How often something was created with this tag, or tried to be.
    pub(crate) fn attempts(&self, tag: &str) -> usize {
        let state = self.state.lock();
        state.created.iter().filter(|one| *one == tag).count()
    }

    pub(crate) fn all_attempts(&self) -> usize {
        self.state.lock().created.len()
    }

    pub(crate) fn closed(&self) -> Vec<String> {
        self.state.lock().closed.clone()
    }

    async fn create(&self, metadata: &Metadata) -> Result<Fake, InitError> {
        let settings: Settings = metadata.decode()?;
        let mode = {
            let mut state = self.state.lock();
            state.created.push(settings.tag.clone());
            state.modes.get(&settings.tag).copied()
        };
        match mode {
            None => Ok(Fake {
                tag: settings.tag,
                secret: settings.secret,
                backends: self.clone(),
            }),
            Some(Mode::Refuse) => Err(InitError::Invalid("it is refused".into())),
            Some(Mode::Away) => Err(InitError::Unavailable("its server is away".into())),
            Some(Mode::Hang) => std::future::pending().await,
        }
    }
}

/// The tag that a fake store was created with, and the secret after a slash.
pub(crate) async fn tag(store: &dyn StateStore) -> Option<String> {
    let item = store.get(GetRequest::new("tag")).await.ok()??;
    String::from_utf8(item.value.to_vec()).ok()
}

struct Fake {
    tag: String,
    secret: String,
    backends: Backends,
}

impl Fake {
    fn closed(&self) {
        self.backends.state.lock().closed.push(self.tag.clone());
    }
}

#[async_trait]
impl StateStore for Fake {
    fn features(&self) -> &[Feature] {
        &[Feature::Etag]
    }

    async fn get(&self, _request: GetRequest) -> Result<Option<Item>, StateError> {
        let text = match self.secret.as_str() {
            "" => self.tag.clone(),
            secret => format!("{}/{secret}", self.tag),
        };
        Ok(Some(Item {
            value: Bytes::from(text),
            etag: None,
            expires_at: None,
        }))
    }

    async fn set(&self, _request: SetRequest) -> Result<(), StateError> {
        Ok(())
    }

    async fn delete(&self, _request: DeleteRequest) -> Result<(), StateError> {
        Ok(())
    }

    fn transactional(&self) -> Option<&dyn Transactional> {
        Some(self)
    }

    async fn close(&self) {
        self.closed();
    }
}

#[async_trait]
impl Transactional for Fake {
    async fn transact(
        &self,
        _operations: Vec<Operation>,
        _metadata: &RequestMetadata,
    ) -> Result<(), StateError> {
        Ok(())
    }
}

#[async_trait]
impl SecretStore for Fake {
    async fn get(&self, name: &str, _metadata: &RequestMetadata) -> Result<Secret, SecretError> {
        Ok(Secret::from([(
            name.to_owned(),
            format!("{} of {}", name, self.tag),
        )]))
    }

    async fn bulk_get(
        &self,
        _metadata: &RequestMetadata,
    ) -> Result<std::collections::BTreeMap<String, Secret>, SecretError> {
        Ok(Default::default())
    }

    async fn close(&self) {
        self.closed();
    }
}
