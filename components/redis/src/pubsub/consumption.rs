//! A subscription at work: does what [`Flow`] decides, and tells it what came of it.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::{Mutex, Semaphore},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use trilby_components::pubsub::Handler;

use super::{
    entry::Entry,
    flow::{Action, Alarm, Event, Flow},
    group::Group,
    reader::Reader,
    settings::Redelivery,
};

/// What is held is told so often within the time after which others may take it: two in a row may fail.
const RENEWALS: u32 = 3;
/// The shortest pause between two, however short that time is.
const SHORTEST: Duration = Duration::from_millis(10);

/// What a subscription works with.
pub(super) struct Work {
    pub(super) group: Arc<Group>,
    /// There is one read at a time.
    pub(super) reader: Mutex<Reader>,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) workers: Arc<Semaphore>,
    pub(super) redelivery: Option<Redelivery>,
    pub(super) stop: CancellationToken,
}

impl Work {
    /// Consumes until it is stopped, and leaves the group unless something of it is left there.
    pub(super) async fn run(self: Arc<Self>, mut flow: Flow) {
        let mut doing = FuturesUnordered::<BoxFuture<'static, Event>>::new();
        let mut actions = flow.step(Event::Begin);
        let mut stopped = false;
        loop {
            for action in actions {
                doing.push(Box::pin(Arc::clone(&self).carry_out(action)));
            }
            if flow.is_over() {
                break;
            }
            let event = tokio::select! {
                biased;
                () = self.stop.cancelled(), if !stopped => {
                    stopped = true;
                    Event::Stop
                }
                Some(event) = doing.next() => event,
            };
            actions = flow.step(event);
        }
        self.group.leave().await;
    }

    async fn carry_out(self: Arc<Self>, action: Action) -> Event {
        match action {
            Action::Read(most) => {
                let mut reader = self.reader.lock().await;
                Event::Read(reader.read(most, &self.stop).await)
            }
            Action::Claim { from, most, held } => {
                let (entries, next) = self.group.claim(from, most, &held).await;
                Event::Claimed(entries, next)
            }
            Action::Handle(entry) => self.handle(entry).await,
            Action::Renew(ids) => Event::Renewed(self.group.renew(&ids).await),
            Action::Release(ids) => {
                self.group.release(&ids).await;
                Event::Released
            }
            Action::Sleep(alarm) => {
                sleep(self.pause(alarm)).await;
                Event::Due(alarm)
            }
        }
    }

    async fn handle(&self, entry: Entry) -> Event {
        let id = entry.id;
        let turn = tokio::select! {
            biased;
            turn = self.workers.acquire() => turn,
            () = self.stop.cancelled(), if self.redelivery.is_some() => {
                self.group.release(&[id]).await;
                return Event::Handled(id);
            }
        };
        let topic = self.group.topic();
        let taken = self.handler.handle(entry.message(topic)).await;
        drop(turn);
        match taken {
            Ok(()) => self.group.acknowledge(id, &self.stop).await,
            Err(error) => warn!(topic, %id, "a message was not taken and comes again: {error}"),
        }
        Event::Handled(id)
    }

    fn pause(&self, alarm: Alarm) -> Duration {
        // Without redelivery there are no alarms.
        let redelivery = self.redelivery.unwrap_or(Redelivery {
            after: Duration::MAX,
            every: Duration::MAX,
        });
        match alarm {
            Alarm::Redeliver => redelivery.every,
            Alarm::Renew => (redelivery.after / RENEWALS).max(SHORTEST),
        }
    }
}
