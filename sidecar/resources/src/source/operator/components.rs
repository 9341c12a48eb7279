//! Components of the operator.

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    sync::{Mutex, Notify, mpsc},
    time::{MissedTickBehavior, interval, sleep},
};
use tonic::Status;
use trilby_grpc::{Backoff, Follower};
use trilby_proto::operator::v1::{
    ComponentUpdateEvent, ComponentUpdateRequest, ListComponentsRequest, ResourceEventType,
};

use super::{Messages, News, Operator, call, in_words, streaming};
use crate::{manifest::Received, updater::Event};

/// Follows components for as long as the process lives.
pub(super) async fn follow(operator: Operator, news: mpsc::Sender<News>) {
    let shared = Arc::new(Shared {
        outbox: Mutex::new(Outbox {
            news,
            listing: None,
        }),
        list_wanted: Notify::new(),
    });
    let mut changes = Changes {
        operator: operator.clone(),
        shared: Arc::clone(&shared),
    };
    let streaming = async {
        let end = trilby_grpc::follow(&mut changes, Backoff::default()).await;
        tracing::warn!(
            status = in_words(&end),
            "the operator does not stream components, changes are found by listing only"
        );
    };
    tokio::join!(streaming, list_for_ever(&operator, &shared));
}

/// What the stream and the lists share.
struct Shared {
    /// Held while something is put into the queue, so that its order is that of what was learnt.
    outbox: Mutex<Outbox>,
    /// The stream opened, so changes before that may have been missed.
    list_wanted: Notify,
}

struct Outbox {
    news: mpsc::Sender<News>,
    /// Names that changed since the list under way was asked for; `None` without one.
    listing: Option<HashSet<String>>,
}

impl Outbox {
    /// An error means that nobody listens any more, which ends this future as well.
    async fn put(&self, news: News) {
        if self.news.send(news).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn change(&mut self, event: Event, name: String) {
        if let Some(changed) = &mut self.listing {
            changed.insert(name);
        }
        self.put(News::Event(event)).await;
    }
}

async fn list_for_ever(operator: &Operator, shared: &Shared) {
    let mut regular = interval(operator.reconcile_interval.max(Duration::from_millis(1)));
    regular.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut backoff = Backoff::default();
    loop {
        tokio::select! {
            _ = regular.tick() => {}
            () = shared.list_wanted.notified() => {}
        }
        while let Err(status) = list(operator, shared).await {
            let pause = backoff.pause();
            let problem = in_words(&status);
            tracing::warn!(
                status = problem,
                ?pause,
                "listing components failed, trying again"
            );
            shared.outbox.lock().await.put(News::Problem(problem)).await;
            sleep(pause).await;
        }
        backoff.reset();
    }
}

async fn list(operator: &Operator, shared: &Shared) -> Result<(), Status> {
    shared.outbox.lock().await.listing = Some(HashSet::new());
    let mut client = operator.client.clone();
    let request = ListComponentsRequest {
        namespace: operator.namespace.clone(),
    };
    let answer = call(client.list_components(request)).await;
    let mut outbox = shared.outbox.lock().await;
    let newer = outbox.listing.take().unwrap_or_default();
    let components = answer?.components;
    let all = components
        .iter()
        .filter_map(|component| Received::decode(component))
        .collect();
    outbox
        .put(News::Event(Event::Snapshot { all, newer }))
        .await;
    Ok(())
}

/// The stream of changes.
struct Changes {
    operator: Operator,
    shared: Arc<Shared>,
}

#[async_trait]
impl Follower for Changes {
    type Item = ComponentUpdateEvent;
    type Stream = Messages<ComponentUpdateEvent>;

    async fn open(&mut self) -> Result<Self::Stream, Status> {
        let mut client = self.operator.client.clone();
        let request = ComponentUpdateRequest {
            namespace: self.operator.namespace.clone(),
        };
        let shared = Arc::clone(&self.shared);
        Ok(streaming(
            async move { client.component_update(request).await },
            move || shared.list_wanted.notify_one(),
        ))
    }

    async fn item(&mut self, event: ComponentUpdateEvent) -> Result<(), Status> {
        let change = match event.r#type() {
            ResourceEventType::Created | ResourceEventType::Updated => {
                Received::decode(&event.component)
                    .map(|received| (received.name().to_owned(), Event::Changed(received)))
            }
            ResourceEventType::Deleted => Received::decode_name(&event.component)
                .map(|name| (name.clone(), Event::Gone(name))),
            ResourceEventType::Unknown => None,
        };
        match change {
            Some((name, event)) => self.shared.outbox.lock().await.change(event, name).await,
            None => tracing::warn!(
                kind = event.r#type,
                "the operator sent an event about a component that makes no sense, it is ignored"
            ),
        }
        Ok(())
    }

    fn lost(&mut self, status: &Status, retry_in: Duration) {
        tracing::warn!(
            status = in_words(status),
            ?retry_in,
            "lost the operator's stream of components"
        );
    }
}
