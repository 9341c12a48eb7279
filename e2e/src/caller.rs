//! The example app `caller`, as a person uses it, and the API of its sidecar.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::Value;
use trilby_testkit::http::Response;

use crate::forward::Forward;
use crate::scene::Scene;

const APP_PORT: u16 = 8080;
const SIDECAR_PORT: u16 = 3500;

/// The store of the examples that is a Redis.
pub const REDIS_STORE: &str = "statestore";

/// Ways to the app and to its sidecar's HTTP API.
#[derive(Debug)]
pub struct Caller {
    app: Forward,
    sidecar: Forward,
}

/// What `greeter` answers.
#[derive(Clone, Debug, Deserialize)]
pub struct Greeting {
    /// The greeting itself.
    pub greeting: String,
    /// Who called, as the callee's sidecar says.
    pub called_by: Option<String>,
    /// Which pod answered.
    pub served_by: String,
}

/// One call of each actor.
#[derive(Clone, Debug, Deserialize)]
pub struct Round {
    /// The pod that served each actor.
    pub served_by: BTreeMap<u32, String>,
    /// Each actor's count after the call.
    pub counts: BTreeMap<u32, u64>,
    /// Calls that failed, with status and reply.
    pub failed: BTreeMap<u32, Value>,
}

impl Round {
    /// The pods that served an actor.
    pub fn hosts(&self) -> BTreeSet<&str> {
        self.served_by.values().map(String::as_str).collect()
    }

    /// How many actors this pod served.
    pub fn share(&self, pod: &str) -> usize {
        self.served_by.values().filter(|host| *host == pod).count()
    }
}

impl Caller {
    /// Opens the ways.
    ///
    /// # Errors
    /// If the app does not run.
    pub async fn of(scene: &Scene) -> Result<Self> {
        let pod = scene.pod("caller").await?.name;
        Ok(Self {
            app: scene.forward(&pod, APP_PORT).await?,
            sidecar: scene.forward(&pod, SIDECAR_PORT).await?,
        })
    }

    /// Has the app greet through `greeter`.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn greet(&self, name: &str) -> Result<Greeting> {
        let url = self.app.url(&format!("/greet?name={name}"));
        let answer = self.app.http().get(&url).await?.success()?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Has the app save a note in a store.
    ///
    /// # Errors
    /// If it is not saved; the text has the sidecar's answer.
    pub async fn save(&self, (store, key): (&str, &str), text: &str) -> Result<()> {
        let url = self.note(store, key);
        self.app.http().put(&url, text).await?.success()?;
        Ok(())
    }

    /// Has the app read a note; none is `null`.
    ///
    /// # Errors
    /// If the store does not answer, or there is none; the text has the sidecar's answer.
    pub async fn read(&self, store: &str, key: &str) -> Result<Value> {
        let answer = self
            .app
            .http()
            .get(&self.note(store, key))
            .await?
            .success()?;
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_slice(&answer.body)?)
    }

    fn note(&self, store: &str, key: &str) -> String {
        self.app.url(&format!("/notes/{key}?store={store}"))
    }

    /// Has the app call this many actors once each. That some calls fail is told in the result.
    ///
    /// # Errors
    /// If the app does not answer.
    pub async fn count(&self, actors: u32) -> Result<Round> {
        let url = self.app.url(&format!("/count?actors={actors}"));
        let answer = self.app.http().post(&url, "").await?;
        let round = serde_json::from_slice(&answer.body);
        round.with_context(|| format!("{} {}", answer.status, answer.text()))
    }

    /// Posts to the sidecar's own API.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn post_to_sidecar(&self, path: &str, json: &str) -> Result<Response> {
        self.sidecar
            .http()
            .post(&self.sidecar.url(path), json)
            .await
    }

    /// The sidecar's metadata.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn metadata(&self) -> Result<Value> {
        let url = self.sidecar.url("/v1.0/metadata");
        let answer = self.sidecar.http().get(&url).await?.success()?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// The type of a component that the sidecar has loaded; none if it has none of this name.
    ///
    /// # Errors
    /// If the sidecar does not answer.
    pub async fn component(&self, name: &str) -> Result<Option<String>> {
        let metadata = self.metadata().await?;
        let Some(components) = metadata["components"].as_array() else {
            bail!("the metadata has no components: {metadata}");
        };
        let found = components.iter().find(|one| one["name"] == name);
        Ok(found
            .and_then(|one| one["type"].as_str())
            .map(str::to_owned))
    }
}
