//! The configuration block: items of stores, read and followed.
//!
//! ```text
//! gRPC:  Subscription ◀─polls─ the response's stream
//! HTTP:  Subscription ◀─polls─ Delivery ─POST─▶ application (all deliveries run in one task)
//!           └─ Following: the store of that name, whichever component it is at the time
//! ```
//!
//! A subscription outlives its component: it goes on with the one that replaces it. It ends when it is given up, when no
//! component has its name any more, and when the sidecar ends.

mod delivery;
mod following;
mod known;
mod shown;
mod subscriptions;

use std::sync::Arc;

use http::StatusCode;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use trilby_components::configuration::{Beginning, ConfigurationError, Items, Selection};
use trilby_resiliency::{ComponentKind, Direction, Policy, Resiliency};
use trilby_resources::{ConfigurationComponent, Lookup, Resources};

use super::guarded::guarded;
use crate::channel::AppChannel;
use crate::error::ApiError;
use crate::metrics::{ComponentMetrics, Metrics, Operation};
use delivery::Delivery;
use following::Following;

pub use delivery::Deliveries;
pub use shown::Shown;
pub use subscriptions::{Reader, Subscription, Subscriptions};

/// Configuration stores as an application may see them.
#[derive(Debug, Clone)]
pub struct Configuration {
    resources: Resources,
    resiliency: Resiliency,
    app: Option<AppChannel>,
    subscriptions: Subscriptions,
    deliveries: mpsc::Sender<Delivery>,
    metrics: ComponentMetrics,
}

impl Configuration {
    /// The stores of `resources`, and what has to run for changes to reach `app`. Subscriptions end with `serving`.
    pub fn new(
        resources: Resources,
        resiliency: Resiliency,
        app: Option<AppChannel>,
        serving: CancellationToken,
    ) -> (Self, Deliveries) {
        let (deliveries, running) = Deliveries::channel();
        let configuration = Self {
            resources,
            resiliency,
            app,
            subscriptions: Subscriptions::new(serving),
            deliveries,
            metrics: Metrics::off("", "").components(),
        };
        (configuration, running)
    }

    /// Counts operations.
    #[must_use]
    pub fn measured(mut self, metrics: ComponentMetrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Reads items.
    ///
    /// # Errors
    /// As the API answers them: no such store, or the store's own failure.
    pub async fn get(&self, store: &str, selection: &Selection) -> Result<Items, ApiError> {
        let found = self.store(store)?;
        let start = Instant::now();
        let read = guarded(self.policy(store), || found.store.get(selection)).await;
        self.metrics
            .done((Operation::ConfigurationGet, store), &read, start);
        read.map_err(|failure| {
            let keys = listed(&selection.keys);
            ApiError::new(
                "ERR_CONFIGURATION_GET",
                StatusCode::INTERNAL_SERVER_ERROR,
                Code::Internal,
                format!("failed to get {keys} from Configuration store {store}: {failure}"),
            )
            .reasoned()
        })
    }

    /// Follows items; the caller reads the changes.
    ///
    /// # Errors
    /// As [`Self::get`], or there are too many subscriptions.
    pub async fn follow(
        &self,
        store: &str,
        selection: Selection,
    ) -> Result<Subscription, ApiError> {
        self.subscribe((store, Reader::Caller), selection).await
    }

    /// Follows items; the application is called at each change. Gives the subscription's id.
    ///
    /// # Errors
    /// As [`Self::follow`], or there is no application.
    pub async fn deliver(&self, store: &str, selection: Selection) -> Result<String, ApiError> {
        self.store(store)?;
        let Some(app) = &self.app else {
            return Err(ApiError::new(
                "ERR_APP_CHANNEL_NIL",
                StatusCode::INTERNAL_SERVER_ERROR,
                Code::Internal,
                "app channel is not initialized. cannot subscribe to configuration updates",
            ));
        };
        let keys = listed(&selection.keys);
        let subscription = self
            .subscribe((store, Reader::Application), selection)
            .await?;
        let id = subscription.id().to_owned();
        let delivery = Delivery::new(subscription, app.clone(), self.resiliency.clone());
        let taken = self.deliveries.send(delivery).await;
        taken.map_err(|_| subscribe_failed((&keys, store), "the sidecar ends"))?;
        Ok(id)
    }

    /// Ends a subscription of this store, whoever reads it; false when there is none of this id.
    ///
    /// # Errors
    /// There is no such store.
    pub fn unsubscribe(&self, store: &str, id: &str) -> Result<bool, ApiError> {
        self.store(store)?;
        let start = Instant::now();
        let ended = self.subscriptions.end(id, |of, _| of == store);
        let result = ended.then_some(()).ok_or(());
        self.metrics
            .done((Operation::ConfigurationUnsubscribe, store), &result, start);
        Ok(ended)
    }

    /// Ends a subscription that its caller reads, of any store; false when there is none of this id.
    pub fn end(&self, id: &str) -> bool {
        self.subscriptions
            .end(id, |_, reader| reader == Reader::Caller)
    }

    /// Counts that a subscription has ended which its caller read.
    pub fn ended(&self, store: &str) {
        let result: Result<(), ()> = Ok(());
        let operation = (Operation::ConfigurationUnsubscribe, store);
        self.metrics.done(operation, &result, Instant::now());
    }

    async fn subscribe(
        &self,
        (store, reader): (&str, Reader),
        selection: Selection,
    ) -> Result<Subscription, ApiError> {
        let found = self.store(store)?;
        let keys = listed(&selection.keys);
        let place = self
            .subscriptions
            .place(store, reader)
            .map_err(|error| subscribe_failed((&keys, store), error))?;
        // Before the store is asked, so that no change of the component in between is missed.
        let components = self.resources.changes();
        let start = Instant::now();
        let begin = || found.store.subscribe(&selection, Beginning::New);
        let changes = guarded(self.policy(store), begin).await;
        self.metrics
            .done((Operation::ConfigurationSubscribe, store), &changes, start);
        let changes = changes.map_err(|error| subscribe_failed((&keys, store), error))?;
        let following = Following::new(
            (self.resources.clone(), components),
            selection,
            (found, changes),
        );
        Ok(Subscription::new(place, following.primed().await))
    }

    fn policy(&self, store: &str) -> Option<Policy> {
        let policies = self.resiliency.policies();
        policies.component(store, ComponentKind::Configuration, Direction::Outbound)
    }

    fn store(&self, name: &str) -> Result<Arc<ConfigurationComponent>, ApiError> {
        let found = self.resources.configuration_store(name);
        found.map_err(|lookup| match lookup {
            Lookup::NotConfigured => ApiError::new(
                "ERR_CONFIGURATION_STORE_NOT_CONFIGURED",
                StatusCode::INTERNAL_SERVER_ERROR,
                Code::FailedPrecondition,
                "configuration stores not configured",
            )
            .reasoned(),
            Lookup::NotFound => not_found(format!("configuration store {name} not found")),
            Lookup::Failed(why) => not_found(format!(
                "configuration store {name} not found: it did not start: {why}"
            )),
        })
    }
}

fn not_found(message: String) -> ApiError {
    ApiError::new(
        "ERR_CONFIGURATION_STORE_NOT_FOUND",
        StatusCode::BAD_REQUEST,
        Code::InvalidArgument,
        message,
    )
    .reasoned()
}

fn subscribe_failed((keys, store): (&str, &str), failure: impl std::fmt::Display) -> ApiError {
    ApiError::new(
        "ERR_CONFIGURATION_SUBSCRIBE",
        StatusCode::INTERNAL_SERVER_ERROR,
        Code::InvalidArgument,
        format!("failed to subscribe {keys} from Configuration store {store}: {failure}"),
    )
    .reasoned()
}

/// Keys as Go writes a list of them.
fn listed(keys: &[String]) -> String {
    format!("[{}]", keys.join(" "))
}

impl super::guarded::ComponentFailure for ConfigurationError {
    fn is_final(&self) -> bool {
        matches!(self, Self::InvalidRequest(_))
    }

    fn stopped(stopped: trilby_resiliency::Stopped) -> Self {
        Self::Unavailable(stopped.to_string())
    }
}
