//! The one task that owns all namespaces: it feeds their machines and carries out what they want.

mod outbox;

use std::{
    collections::{BTreeMap, HashMap},
    future::{Future, pending},
    pin::Pin,
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::{debug, info, warn};
use trilby_go_syntax::GoDuration;
use trilby_placement_protocol::server::{
    Action, CloseReason, Event, Member, Namespace, Order, Settings, StreamId,
};

use crate::{
    leadership::Tenure,
    metrics::Metrics,
    state::Tables,
    wire::{self, Announced, Message, Report},
};

pub(crate) use outbox::{Orders, Outbox, outbox};

/// Messages of sidecars that wait for the hub; a session whose message finds no room waits as well.
const QUEUE: usize = 1024;

/// What sessions tell the hub.
pub(crate) enum Notice {
    /// A stream with its first message. The hub learns of its end by its orders being dropped.
    Joined {
        stream: StreamId,
        namespace: String,
        member: Member<Report>,
        announced: Announced,
        outbox: Outbox,
    },
    /// A later message.
    Said { stream: StreamId, message: Message },
}

/// Sessions' end of the hub.
pub(crate) type Notices = mpsc::Sender<Notice>;

/// How the hub runs its namespaces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HubConfig {
    pub rounds: Settings,
    pub replication: u32,
    /// How long hosts of an earlier process may serve what they had from it.
    pub settle: Duration,
}

/// All namespaces and all streams of one term.
pub(crate) struct Hub {
    config: HubConfig,
    settled_at: Instant,
    notices: mpsc::Receiver<Notice>,
    namespaces: BTreeMap<String, Namespace<Report>>,
    streams: HashMap<StreamId, Stream>,
    closed: FuturesUnordered<Pin<Box<dyn Future<Output = StreamId> + Send>>>,
    metrics: Metrics,
    tables: Option<Tables>,
}

struct Stream {
    namespace: String,
    app_id: String,
    outbox: Outbox,
    actor_host: bool,
}

// === impl Notice ===

impl Notice {
    /// Whether a sidecar asks how long it may go on.
    fn is_beat(&self) -> bool {
        matches!(
            self,
            Self::Said {
                message: Message::Beat(_),
                ..
            }
        )
    }
}

// === impl Hub ===

impl Hub {
    /// A hub without streams. With `tables`, it keeps them up to date for the state endpoint.
    pub(crate) fn new(
        config: HubConfig,
        metrics: Metrics,
        tables: Option<Tables>,
    ) -> (Self, Notices) {
        let (sender, notices) = mpsc::channel(QUEUE);
        let hub = Self {
            config,
            settled_at: Instant::now() + config.settle,
            notices,
            namespaces: BTreeMap::new(),
            streams: HashMap::new(),
            closed: FuturesUnordered::new(),
            metrics,
            tables,
        };
        (hub, sender)
    }

    /// Runs until `stop`, or until the tenure is over: from then on nothing is sent any more.
    pub(crate) async fn run(&mut self, tenure: &Tenure, stop: &CancellationToken) {
        loop {
            let deadline = self.next_deadline();
            // A process can be frozen: what is ready now may have waited for longer than the tenure lasted.
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tenure.ended() => return,
                () = sleep_until_some(deadline) => if !tenure.is_over() {
                    self.catch_up(tenure);
                    self.tick();
                },
                Some(stream) = self.closed.next() => if !tenure.is_over() {
                    self.close(stream);
                },
                notice = self.notices.recv() => match notice {
                    Some(notice) if !tenure.is_over() => self.receive(notice, tenure),
                    _ => return,
                },
            }
        }
    }

    /// Ends all streams with `status` and waits until they are gone, at most `within`. Whether they are.
    pub(crate) async fn dismiss(mut self, status: Status, within: Duration) -> bool {
        self.notices.close();
        while let Ok(notice) = self.notices.try_recv() {
            if let Notice::Joined { outbox, .. } = notice {
                outbox.end(status.clone());
            }
        }
        for stream in self.streams.values() {
            stream.outbox.end(status.clone());
        }
        let gone = async {
            while let Some(stream) = self.closed.next().await {
                if let Some(Stream {
                    namespace,
                    actor_host,
                    ..
                }) = self.streams.remove(&stream)
                {
                    self.metrics.disconnected(&namespace, actor_host);
                }
            }
        };
        let in_time = tokio::time::timeout(within, gone).await.is_ok();
        for stream in self.streams.values() {
            self.metrics
                .disconnected(&stream.namespace, stream.actor_host);
        }
        in_time
    }

    /// Takes in what was said before: nobody is late whose message waits here.
    fn catch_up(&mut self, tenure: &Tenure) {
        for _ in 0..QUEUE {
            match self.notices.try_recv() {
                Ok(notice) => self.receive(notice, tenure),
                Err(_) => return,
            }
        }
    }

    /// A beat is answered only by a leader that may promise a lease; it comes again.
    fn receive(&mut self, notice: Notice, tenure: &Tenure) {
        if tenure.vouches() || !notice.is_beat() {
            self.take(notice);
        }
    }

    fn take(&mut self, notice: Notice) {
        match notice {
            Notice::Joined {
                stream,
                namespace,
                member,
                announced,
                outbox,
            } => {
                self.open(stream, &namespace, &member, outbox);
                let Announced { dialect, returning } = announced;
                let joined = Event::Joined {
                    stream,
                    member,
                    dialect,
                    returning,
                };
                self.step(&namespace, joined);
            }
            Notice::Said { stream, message } => {
                let known = self.streams.get(&stream);
                let Some(Stream {
                    namespace, outbox, ..
                }) = known
                else {
                    return;
                };
                let event = match message {
                    Message::Report(member) => Event::Reported { stream, member },
                    Message::Heartbeat(member) => Event::Heartbeat { stream, member },
                    Message::Ack(ack) => Event::Acked { stream, ack },
                    Message::Beat(beat) => Event::Beat { stream, beat },
                    Message::Goodbye => {
                        outbox.end(Status::cancelled("the sidecar left"));
                        Event::Left { stream }
                    }
                };
                self.step(&namespace.clone(), event);
            }
        }
    }

    fn open(&mut self, id: StreamId, namespace: &str, member: &Member<Report>, outbox: Outbox) {
        self.closed.push({
            let closed = outbox.closed();
            Box::pin(async move {
                closed.await;
                id
            })
        });
        let stream = Stream {
            namespace: namespace.to_owned(),
            app_id: member.payload.id.clone(),
            outbox,
            actor_host: member.is_actor_host(),
        };
        info!(
            namespace,
            app_id = stream.app_id,
            host = &*member.name,
            types = member.entities().len(),
            "sidecar connected"
        );
        self.metrics.connected(namespace, stream.actor_host);
        self.streams.insert(id, stream);
    }

    fn close(&mut self, id: StreamId) {
        let Some(stream) = self.streams.remove(&id) else {
            return;
        };
        info!(
            namespace = stream.namespace,
            app_id = stream.app_id,
            "sidecar disconnected"
        );
        self.metrics
            .disconnected(&stream.namespace, stream.actor_host);
        self.step(&stream.namespace, Event::Closed { stream: id });
    }

    fn tick(&mut self) {
        let now = Instant::now().into_std();
        let due = |namespace: &Namespace<Report>| {
            namespace.deadline().is_some_and(|deadline| deadline <= now)
        };
        let names: Vec<String> = self
            .namespaces
            .iter()
            .filter(|(_, it)| due(it))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            self.step(&name, Event::Tick);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let earliest = self
            .namespaces
            .values()
            .filter_map(Namespace::deadline)
            .min()?;
        Some(Instant::from_std(earliest))
    }

    fn step(&mut self, name: &str, event: Event<Report>) {
        let (rounds, settled_at) = (self.config.rounds, self.settled_at.into_std());
        let namespace = self
            .namespaces
            .entry(name.to_owned())
            .or_insert_with(|| Namespace::new(rounds, settled_at));
        let before = (namespace.version(), namespace.revision());
        let began = namespace.round_began();
        let now = Instant::now().into_std();
        let actions = namespace.step(event, now);
        if let Some(began) = began.filter(|began| namespace.round_began() != Some(*began)) {
            self.metrics
                .round_ended(name, now.saturating_duration_since(began));
        }
        let after = (namespace.version(), namespace.revision());
        if after.0 != before.0 {
            self.metrics.round_began(name);
            debug!(namespace = name, version = after.0, "round begins");
        }
        if let Some(tables) = self.tables.as_ref().filter(|_| after != before) {
            tables.publish(name, namespace);
        }
        if namespace.is_empty() {
            self.namespaces.remove(name);
        }
        for action in actions {
            self.act(name, action);
        }
    }

    fn act(&mut self, name: &str, action: Action<Report>) {
        match action {
            Action::Send { to, order } => self.send(&to, &order),
            Action::Close { stream, reason } => {
                if matches!(reason, CloseReason::Timeout { .. }) {
                    self.metrics.timed_out(name);
                }
                let Some(stream) = self.streams.get(&stream) else {
                    return;
                };
                let status = status_of(reason);
                warn!(
                    namespace = name,
                    app_id = stream.app_id,
                    reason = status.message(),
                    "sidecar disconnected by us"
                );
                stream.outbox.end(status);
            }
        }
    }

    fn send(&self, to: &[StreamId], order: &Order<Report>) {
        let encoded = wire::encode(order, self.config.replication);
        for stream in to.iter().filter_map(|id| self.streams.get(id)) {
            if !stream.outbox.send(encoded.clone()) {
                warn!(
                    namespace = stream.namespace,
                    app_id = stream.app_id,
                    "sidecar does not read its orders"
                );
            }
        }
    }
}

/// The first of these texts is upstream's.
fn status_of(reason: CloseReason) -> Status {
    match reason {
        CloseReason::Timeout { after, version } => Status::deadline_exceeded(format!(
            "dissemination timeout after {} for version {version}",
            GoDuration(after)
        )),
        CloseReason::Silent { after } => {
            Status::deadline_exceeded(format!("no beat came for {}", GoDuration(after)))
        }
        CloseReason::Superseded => Status::aborted("a newer stream is of the same host"),
    }
}

async fn sleep_until_some(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests;
