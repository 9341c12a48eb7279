//! Subscriptions whose changes are brought to the application: `POST /configuration/<store>/<key>`, once for each item
//! that changed, with all of them, as upstream does.
//!
//! One change after the other: while the application takes its time, the store waits.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::HeaderMap;
use http::StatusCode;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::error;
use trilby_components::configuration::Items;
use trilby_proto::common::v1::http_extension::Verb;
use trilby_resiliency::{ComponentKind, Direction, Failure, Resiliency, Stopped, run};

use super::shown::Shown;
use super::subscriptions::Subscription;
use crate::blocks::invoke::Call;
use crate::blocks::invoke::headers::Origin;
use crate::channel::AppChannel;
use crate::payload::Payload;

/// New subscriptions that wait for the task that runs them.
const WAITING: usize = 16;
/// How long an application may take for one call. Upstream waits for ever.
const LIMIT: Duration = Duration::from_secs(5 * 60);

/// Runs every delivery.
#[derive(Debug)]
pub struct Deliveries {
    arriving: mpsc::Receiver<Delivery>,
}

/// A subscription, and whom it is delivered to.
#[derive(Debug)]
pub(super) struct Delivery {
    subscription: Subscription,
    receiver: Receiver,
}

/// The application, as one subscription sees it.
#[derive(Debug)]
struct Receiver {
    id: String,
    store: String,
    app: AppChannel,
    resiliency: Resiliency,
}

/// Why the application did not take a change. (Neither the failure's type nor the policy's is of this crate.)
struct Refused(String);

impl From<Stopped> for Refused {
    fn from(stopped: Stopped) -> Self {
        Self(stopped.to_string())
    }
}

impl Deliveries {
    pub(super) fn channel() -> (mpsc::Sender<Delivery>, Self) {
        let (sender, arriving) = mpsc::channel(WAITING);
        (sender, Self { arriving })
    }

    /// Delivers until `serving` is cancelled.
    pub async fn run(mut self, serving: CancellationToken) {
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = serving.cancelled() => return,
                Some(delivery) = self.arriving.recv() => running.push(delivery.run()),
                Some(()) = running.next() => {}
            }
        }
    }
}

impl Delivery {
    pub(super) fn new(subscription: Subscription, app: AppChannel, resiliency: Resiliency) -> Self {
        let receiver = Receiver {
            id: subscription.id().to_owned(),
            store: subscription.store().to_owned(),
            app,
            resiliency,
        };
        Self {
            subscription,
            receiver,
        }
    }

    async fn run(self) {
        let Self {
            mut subscription,
            receiver,
        } = self;
        let ended = subscription.ended();
        let delivering = async {
            while let Some(items) = subscription.next().await {
                receiver.bring(&items).await;
            }
        };
        tokio::select! {
            () = ended.cancelled() => {}
            () = delivering => {}
        }
    }
}

impl Receiver {
    async fn bring(&self, items: &Items) {
        let body = json!({ "id": self.id, "items": Shown::all(items) });
        let body = Bytes::from(body.to_string());
        for key in items.keys() {
            if let Err(Refused(error)) = self.tell(key, &body).await {
                error!("error sending configuration item to the app: {error}");
            }
        }
    }

    async fn tell(&self, key: &str, body: &Bytes) -> Result<(), Refused> {
        let store = &self.store;
        let policies = self.resiliency.policies();
        let policy = policies.component(store, ComponentKind::Configuration, Direction::Inbound);
        let attempt = |_| async {
            let call = call(store, key, body.clone());
            let called = timeout(LIMIT, self.call(call)).await;
            let late = || {
                Err(Refused(format!(
                    "the application took longer than {LIMIT:?}"
                )))
            };
            called.unwrap_or_else(|_| late()).map_err(Failure::again)
        };
        run(policy, attempt).await
    }

    async fn call(&self, call: Call) -> Result<(), Refused> {
        let answer = self.app.invoke(call).await;
        let answer = answer.map_err(|error| Refused(error.to_string()))?;
        match answer.outcome.http() {
            StatusCode::OK => Ok(()),
            status => Err(Refused(format!(
                "error sending configuration item to application, status {}",
                status.as_u16()
            ))),
        }
    }
}

fn call(store: &str, key: &str, body: Bytes) -> Call {
    Call {
        method: format!("configuration/{store}/{key}"),
        verb: Verb::Post,
        query: String::new(),
        content_type: "application/json".to_owned(),
        type_url: String::new(),
        headers: HeaderMap::new(),
        origin: Origin::Http,
        body: Payload::Bytes(body),
    }
}
