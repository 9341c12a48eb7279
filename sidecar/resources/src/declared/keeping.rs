//! Fills in what stands elsewhere: in a secret, or in the environment.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{sync::watch, time::timeout};

use super::{Declared, collection::Job};
use crate::{
    config::Environment,
    initialise::Failure,
    manifest::Property,
    properties::{Keeper, Resolver},
    resources::Shared,
};

/// How long the values of one resource may take; upstream's limit of initialising a component.
const LIMIT: Duration = Duration::from_secs(5);

/// What values are filled in with.
#[derive(Clone)]
pub(crate) struct Keeping {
    pub(crate) shared: Arc<Shared>,
    pub(crate) app_id: String,
    /// Never empty.
    pub(crate) namespace: String,
    pub(crate) environment: Environment,
    /// Whether the operator is the source.
    pub(crate) kubernetes: bool,
}

impl Keeping {
    /// Told after each change of a component.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    pub(super) fn serves(&self, store: &str) -> bool {
        self.shared.view.load().secret_store(store).is_ok()
    }

    /// The resource's name, and its spec with everything filled in.
    pub(super) async fn resolve<S: Declared>(&self, job: Job<S>) -> (String, Result<S, Failure>) {
        let outcome = match timeout(LIMIT, self.filled_in(&job)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::passing(format!(
                "reading its secrets took longer than {LIMIT:?}"
            ))),
        };
        (job.name, outcome)
    }

    async fn filled_in<S: Declared>(&self, job: &Job<S>) -> Result<S, Failure> {
        let store_name = S::secret_store(&job.object);
        let mut spec = job.object.spec.clone();
        let mut places = spec.places();
        let has_secrets = places.iter().any(|place| place.secret.is_some());
        let keeper = Keeper::of(store_name, has_secrets, self.kubernetes);
        let store = match keeper {
            Keeper::Store(name) => self.shared.view.load().secret_store(name).ok(),
            _ => None,
        };
        let resolver = Resolver {
            what: "value",
            app_id: &self.app_id,
            namespace: &self.namespace,
            environment: &self.environment,
            keeper,
            store: store.as_deref(),
        };
        for place in &mut places {
            if place.secret.is_none() && place.env.is_none() {
                continue;
            }
            let property = Property {
                name: place.name.clone(),
                value: text(place.value.as_ref()),
                secret: place.secret.take(),
                env: place.env.take(),
            };
            let namespace = job.object.metadata.namespace.as_deref();
            let value = resolver
                .value(&property, namespace.unwrap_or_default())
                .await?;
            *place.value = Some(Value::String(value));
        }
        drop(places);
        Ok(spec)
    }
}

fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
