//! One kind of the operator: its lists, and its stream of changes.

use std::{
    collections::HashSet,
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::{
    sync::{Mutex, Notify},
    time::{MissedTickBehavior, interval, sleep},
};
use tonic::{Code, Status};
use trilby_grpc::{Backoff, Follower};
use trilby_proto::operator::v1::ResourceEventType;

use super::{Audience, Messages, Operator, in_words, streaming, wire::Wire};
use crate::{
    control::Control,
    kind::{Kind, Told, metadata_of},
};

/// What upstream's operator says of a list of subscriptions that is empty.
const UPSTREAM_EMPTY: &str = "Marshal called with nil";

/// Follows one kind for as long as the process lives.
pub(super) async fn follow<W: Wire>(operator: Operator, audience: Arc<Audience>) {
    let shared = Arc::new(Shared {
        outbox: Mutex::new(Outbox {
            audience: Arc::clone(&audience),
            kind: W::KIND,
            listing: None,
        }),
        list_wanted: Notify::new(),
        opened: AtomicBool::new(false),
    });
    let mut control = audience.control.clone();
    let streaming = async {
        let end = control
            .while_following(|| {
                let mut changes = Changes::<W> {
                    operator: operator.clone(),
                    shared: Arc::clone(&shared),
                    wire: PhantomData,
                };
                async move { trilby_grpc::follow(&mut changes, Backoff::default()).await }
            })
            .await;
        tracing::warn!(
            kind = %W::KIND,
            status = in_words(&end),
            "the operator does not stream this kind, changes are found by listing only"
        );
    };
    let listing = list_for_ever::<W>(&operator, &shared, audience.control.clone());
    tokio::join!(streaming, listing);
}

/// What the stream and the lists share.
struct Shared {
    /// Held while something is put into the queue, so that its order is that of what was learnt.
    outbox: Mutex<Outbox>,
    /// The stream opened, so changes before that may have been missed.
    list_wanted: Notify,
    /// That list was not asked for yet. Upstream's operator opens a stream with its first change, which is then newer
    /// than any list.
    opened: AtomicBool,
}

impl Shared {
    fn opened(&self) {
        self.opened.store(true, Ordering::Release);
        self.list_wanted.notify_one();
    }

    async fn change(&self, told: Told, name: String) {
        let mut outbox = self.outbox.lock().await;
        if self.opened.load(Ordering::Acquire) {
            outbox.listing.get_or_insert_default();
        }
        outbox.change(told, name).await;
    }

    async fn begin_list(&self) {
        let mut outbox = self.outbox.lock().await;
        outbox.listing.get_or_insert_default();
        self.opened.store(false, Ordering::Release);
    }
}

struct Outbox {
    audience: Arc<Audience>,
    kind: Kind,
    /// Names that changed since the list under way was asked for, or wanted; `None` without one.
    listing: Option<HashSet<String>>,
}

impl Outbox {
    async fn put(&self, told: Told) {
        self.audience.tell(self.kind, told).await;
    }

    async fn change(&mut self, told: Told, name: String) {
        if let Some(changed) = &mut self.listing {
            changed.insert(name);
        }
        self.put(told).await;
    }
}

async fn list_for_ever<W: Wire>(operator: &Operator, shared: &Shared, mut control: Control) {
    let mut regular = interval(operator.reconcile_interval.max(Duration::from_millis(1)));
    regular.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut backoff = Backoff::default();
    let mut listed = Listed::Never;
    loop {
        tokio::select! {
            _ = regular.tick() => if listed != Listed::Never && !control.is_following() {
                continue;
            },
            () = shared.list_wanted.notified() => {}
            () = control.asked() => {}
        }
        while let Err(status) = list::<W>(operator, shared).await {
            if status.code() == Code::Unimplemented {
                nothing::<W>(shared, &mut listed, &status).await;
                break;
            }
            let pause = backoff.pause();
            let problem = in_words(&status);
            tracing::warn!(
                kind = %W::KIND,
                status = problem,
                ?pause,
                "listing resources failed, trying again"
            );
            shared.outbox.lock().await.put(Told::Problem(problem)).await;
            sleep(pause).await;
        }
        listed = Listed::Once;
        backoff.reset();
    }
}

/// Whether a list was told already.
#[derive(PartialEq)]
enum Listed {
    Never,
    Once,
}

/// An operator from before this kind knows none of it. One that knew it once takes nothing away.
async fn nothing<W: Wire>(shared: &Shared, listed: &mut Listed, status: &Status) {
    if *listed == Listed::Once {
        return;
    }
    tracing::warn!(kind = %W::KIND, status = in_words(status), "the operator does not know this kind");
    let none = Told::Snapshot {
        all: Vec::new(),
        newer: HashSet::new(),
    };
    shared.outbox.lock().await.put(none).await;
}

async fn list<W: Wire>(operator: &Operator, shared: &Shared) -> Result<(), Status> {
    shared.begin_list().await;
    let answer = W::list(operator).await;
    let mut outbox = shared.outbox.lock().await;
    let newer = outbox.listing.take().unwrap_or_default();
    let all = match answer {
        Err(status) if status.message().ends_with(UPSTREAM_EMPTY) => Vec::new(),
        answer => answer?,
    };
    outbox.put(Told::Snapshot { all, newer }).await;
    Ok(())
}

/// The stream of changes.
struct Changes<W> {
    operator: Operator,
    shared: Arc<Shared>,
    wire: PhantomData<W>,
}

#[async_trait]
impl<W: Wire> Follower for Changes<W> {
    type Item = W::Change;
    type Stream = Messages<W::Change>;

    async fn open(&mut self) -> Result<Self::Stream, Status> {
        let mut client = self.operator.client.clone();
        let namespace = self.operator.namespace.clone();
        let shared = Arc::clone(&self.shared);
        let openings = self.operator.openings.clone();
        Ok(streaming(
            async move { W::open(&mut client, namespace).await },
            move || {
                shared.opened();
                if W::KIND == Kind::Component {
                    openings.send_modify(|count| *count += 1);
                }
            },
        ))
    }

    async fn item(&mut self, change: W::Change) -> Result<(), Status> {
        let (json, happened) = W::told(change);
        match told(json, happened) {
            Some((name, told)) => self.shared.change(told, name).await,
            None => tracing::warn!(
                kind = %W::KIND,
                "the operator sent an event that makes no sense, it is ignored"
            ),
        }
        Ok(())
    }

    fn lost(&mut self, status: &Status, retry_in: Duration) {
        tracing::warn!(
            kind = %W::KIND,
            status = in_words(status),
            ?retry_in,
            "lost the operator's stream of changes"
        );
    }
}

/// A change and the name of what it is about; `None` when it makes no sense.
fn told(json: Bytes, happened: ResourceEventType) -> Option<(String, Told)> {
    let name = metadata_of(&json).ok()?.name;
    let told = match happened {
        ResourceEventType::Created | ResourceEventType::Updated => Told::Changed(json),
        ResourceEventType::Deleted => Told::Gone(name.clone()),
        ResourceEventType::Unknown => return None,
    };
    Some((name, told))
}
