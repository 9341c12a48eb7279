//! Subscriptions over a stream of the gRPC API: messages go out, and come back by their ids when they are processed.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Status;
use tracing::{info, warn};
use trilby_components::RequestMetadata;
use trilby_proto::runtime::v1::TopicEventRequest;
use trilby_pubsub::answer;
use trilby_pubsub::subscription::{Subscription, of_stream};
use trilby_resources::Lookup;

use super::consumer::{Consumer, Routed};
use super::deliver::{Delivered, Receiver, grpc};
use super::follower::Follower;
use super::{Command, Parts, Subscriptions};
use crate::blocks::pubsub::not_found;
use crate::error::ApiError;

/// Messages that wait for the client to read them.
const UNREAD: usize = 16;

/// What a client asks for.
#[derive(Debug, Clone, Default)]
pub struct Streaming {
    /// The component.
    pub pubsub: String,
    /// The topic.
    pub topic: String,
    /// For the broker.
    pub metadata: RequestMetadata,
    /// Where messages go that the client does not take; empty for nowhere.
    pub dead_letter: String,
}

/// What a client says of a message.
#[derive(Debug, Clone)]
pub struct Processed {
    /// The message's id.
    pub id: String,
    /// As `TopicEventResponse` has it.
    pub status: i32,
}

/// What a client sends after its first message; it ends when the client goes away.
pub type Answers = Pin<Box<dyn Stream<Item = Result<Processed, Status>> + Send>>;

/// A client's subscription: its messages, until the subscription ends.
#[derive(Debug)]
pub struct Streamed {
    /// Messages; at last why there are no more.
    pub events: mpsc::Receiver<Result<TopicEventRequest, Status>>,
    /// The subscription lasts as long as this is held.
    pub held: DropGuard,
}

/// The way to a client.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    events: mpsc::Sender<Result<TopicEventRequest, Status>>,
    waiting: Waiting,
}

/// Who waits for the answers to messages, by their ids.
type Waiting = Arc<Mutex<HashMap<String, VecDeque<oneshot::Sender<i32>>>>>;

/// A client's subscription on its way to the supervisor.
pub(super) struct Joining {
    pub(super) subscription: Arc<Subscription>,
    sender: Sender,
    answers: Answers,
    /// Cancelled when the client is gone.
    gone: CancellationToken,
    /// Told once it has begun, or has failed to.
    begun: mpsc::Sender<()>,
}

impl Subscriptions {
    /// Subscribes a client of the gRPC API. Returns once its subscription has begun.
    ///
    /// # Errors
    /// There is no such broker, the application may not subscribe to the topic, or the sidecar ends.
    pub async fn stream(&self, wanted: Streaming, answers: Answers) -> Result<Streamed, ApiError> {
        let component = self.parts.resources.pubsub(&wanted.pubsub);
        let component = component.map_err(|lookup| {
            let why = match &lookup {
                Lookup::Failed(why) => Some(why.as_str()),
                Lookup::NotConfigured | Lookup::NotFound => None,
            };
            not_found(&wanted.pubsub, why, RequestMetadata::new())
        })?;
        let (pubsub, topic) = (&wanted.pubsub, &wanted.topic);
        if !component.scopes().may_subscribe(topic) {
            return Err(refused(format!(
                "failed to create subscription for {pubsub}: subscription to topic '{topic}' on pubsub '{pubsub}' is not allowed"
            )));
        }
        let (events, receiver) = mpsc::channel(UNREAD);
        let (begun, mut beginning) = mpsc::channel(1);
        let gone = CancellationToken::new();
        let held = gone.clone().drop_guard();
        let subscription = of_stream(pubsub, topic, wanted.metadata, &wanted.dead_letter);
        let subscription = subscription.map_err(|error| refused(error.to_string()))?;
        let joining = Joining {
            subscription: Arc::new(subscription),
            sender: Sender {
                events,
                waiting: Waiting::default(),
            },
            answers,
            gone,
            begun,
        };
        let asked = self.commands.send(Command::Stream(joining)).await;
        asked.map_err(|_| refused("api server closed".to_owned()))?;
        // Nobody sends: it ends when the follower has let go of its end.
        beginning.recv().await;
        Ok(Streamed {
            events: receiver,
            held,
        })
    }
}

/// In the words and with the code of an error that upstream has no code for.
fn refused(message: String) -> ApiError {
    ApiError::new(
        "ERR_PUBSUB_SUBSCRIBE",
        ::http::StatusCode::INTERNAL_SERVER_ERROR,
        tonic::Code::Unknown,
        message,
    )
}

impl Joining {
    /// Subscribes until the client goes away or everything ends.
    pub(super) async fn run(self, parts: Parts, stop: CancellationToken) {
        let Self {
            subscription,
            sender,
            answers,
            gone,
            begun,
        } = self;
        let (pubsub, topic) = (&subscription.pubsub, &subscription.topic);
        info!("Subscribing to pubsub '{pubsub}' topic '{topic}'");
        let receiver = Receiver::Stream(sender.clone());
        let consumer = Consumer::new(parts.clone(), Arc::clone(&subscription), receiver);
        let follower = Follower {
            parts,
            consumer: Arc::new(consumer),
            stop,
            attempted: Some(begun),
        };
        let ended = tokio::select! {
            // What a client has not answered when it goes away comes again: nothing is waited for.
            ended = sender.read(answers) => ended,
            () = gone.cancelled() => Ok(()),
            // Everything ends: what the client has is still answered until then.
            () = follower.run() => Err(Status::unknown("stream closed")),
        };
        info!("Unsubscribed from pubsub '{pubsub}' topic '{topic}'");
        if let Err(status) = ended {
            // A client that does not read is not waited for.
            sender.events.try_send(Err(status)).ok();
        }
    }
}

/// Forgets who does not wait any more, however the wait ended.
struct Forget<'a> {
    sender: &'a Sender,
    id: String,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        let mut waiting = self.sender.waiting.lock();
        let Some(of_it) = waiting.get_mut(&self.id) else {
            return;
        };
        of_it.retain(|waits| !waits.is_closed());
        if of_it.is_empty() {
            waiting.remove(&self.id);
        }
    }
}

impl Sender {
    /// Brings a message to the client, and waits for what it says of it.
    pub(super) async fn deliver(
        &self,
        _parts: &Parts,
        (subscription, routed): (&Subscription, &Routed),
    ) -> Delivered {
        let start = Instant::now();
        let failed = |reason: String| Delivered {
            verdict: answer::Verdict::Retry(reason),
            code: None,
            start,
        };
        let event = match grpc::event(subscription, routed) {
            Ok(event) => event,
            Err(error) => return failed(error.to_string()),
        };
        let (said, status) = oneshot::channel();
        let id = event.id.clone();
        self.waiting
            .lock()
            .entry(id.clone())
            .or_default()
            .push_back(said);
        let _forget = Forget { sender: self, id };
        if self.events.send(Ok(event)).await.is_err() {
            return failed("stream closed".to_owned());
        }
        match status.await {
            Ok(status) => Delivered {
                verdict: answer::of_grpc(Ok(status)),
                code: None,
                start,
            },
            Err(_) => failed("stream closed".to_owned()),
        }
    }

    /// Reads what the client says, until it goes away.
    async fn read(&self, mut answers: Answers) -> Result<(), Status> {
        while let Some(processed) = answers.next().await {
            let Processed { id, status } = processed?;
            match self.next_waiting(&id) {
                // Whoever waited may have given up.
                Some(waiting) => drop(waiting.send(status)),
                None => warn!("a client answers to message {id:?}, which it does not have"),
            }
        }
        Ok(())
    }

    fn next_waiting(&self, id: &str) -> Option<oneshot::Sender<i32>> {
        let mut waiting = self.waiting.lock();
        let of_it = waiting.get_mut(id)?;
        let next = of_it.pop_front();
        if of_it.is_empty() {
            waiting.remove(id);
        }
        next
    }
}
