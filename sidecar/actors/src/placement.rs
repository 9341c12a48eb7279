//! The stream to placement: moves messages between it and the client machine, and does what that says.

mod orders;
mod route;
mod settling;

use std::{sync::Arc, sync::atomic::Ordering::Relaxed, time::Duration};

use futures_util::StreamExt as _;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Status, Streaming};
use tracing::{debug, info, warn};
use trilby_components::state::NamedStore;
use trilby_grpc::Channel;
use trilby_placement_protocol::client::{Action, Client, Event, ProtocolError};
use trilby_placement_protocol::{Phase, extension};
use trilby_proto::placement::v1::placement_client::PlacementClient;
use trilby_proto::placement::v1::{Host, HostOperation, PlacementOrder};

use crate::HostedActors;
use crate::runtime::Runtime;

pub use route::Route;
use settling::{Settling, after, drain, settle, settled};

/// What sidecars of this generation report; placement ignores it.
const API_LEVEL: u32 = 20;

/// Messages to placement that may wait to be sent: a report and the acknowledgements of one round.
const OUTBOX: usize = 16;

/// A lease shorter than this would be over before its beat can be answered.
const SHORTEST_LEASE_MILLIS: u64 = 100;

/// How long everything active may take to be deactivated when the sidecar stops.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// How long placement may take to end a stream that said goodbye.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);

/// Why the stream ends when the sidecar stops.
const STOPPING: &str = "the sidecar stops";

/// Keeps the stream open until `shutdown`, and then until nothing is active here any more.
pub(crate) async fn run(runtime: Arc<Runtime>, route: Route, shutdown: CancellationToken) {
    let connection = Connection {
        client: Client::new(runtime.settings.disseminate_timeout),
        runtime: Arc::clone(&runtime),
        settling: None,
        had_table: false,
        route,
        shutdown,
    };
    tokio::select! {
        () = connection.keep() => {}
        () = runtime.host.deactivate_idle() => {}
    }
    runtime.closed.cancel();
}

struct Connection {
    runtime: Arc<Runtime>,
    client: Client,
    /// The round whose consequences are being carried out.
    settling: Option<Settling>,
    /// There was a table on some earlier stream: other hosts may serve by it, too.
    had_table: bool,
    route: Route,
    shutdown: CancellationToken,
}

/// Both directions of an open stream, and what makes a new report necessary.
struct Stream {
    orders: Streaming<PlacementOrder>,
    outbox: mpsc::Sender<Host>,
    hosted: watch::Receiver<Option<Arc<HostedActors>>>,
    store: watch::Receiver<Option<NamedStore>>,
    /// Placement keeps the rules that were announced.
    extended: bool,
}

/// What woke the connection.
enum Wake {
    Order(Option<Result<PlacementOrder, Status>>),
    Settled(u64),
    Hosting,
    Deadline,
}

// === impl Connection ===

impl Connection {
    async fn keep(mut self) {
        while !self.shutdown.is_cancelled() {
            let reason = match self.route.next().await {
                Ok(channel) => {
                    let reason = self.attempt(channel.clone()).await;
                    self.lose().await;
                    format!("{}: {reason}", channel.target())
                }
                Err(reason) => reason,
            };
            if self.shutdown.is_cancelled() {
                return;
            }
            if self.route.is_looking() {
                debug!(%reason, "no stream to placement");
            } else {
                warn!(%reason, "no stream to placement");
            }
            let pause = tokio::time::sleep(self.route.pause());
            self.shutdown.run_until_cancelled(pause).await;
        }
    }

    /// Opens one stream, serves it to its end and says why it ended.
    async fn attempt(&mut self, channel: Channel) -> String {
        let (outbox, messages) = mpsc::channel(OUTBOX);
        // From before the report, so that no later change is missed.
        let hosted = self.runtime.hosted.subscribe();
        let store = self.runtime.store.clone();
        self.client
            .step(Event::Hosting(self.runtime.entities()), now());
        // The report goes first: placement may answer the call itself only with its first order.
        if let Err(reason) = self.step(Event::Connected, &outbox).await {
            return reason;
        }
        let within = self.runtime.settings.disseminate_timeout;
        let opening = tokio::time::timeout(within, open(channel, messages, self.had_table));
        let response = match self.shutdown.run_until_cancelled(opening).await {
            Some(Ok(Ok(response))) => response,
            Some(Ok(Err(status))) => return self.refused(&status),
            Some(Err(_)) => {
                self.route.fell_silent();
                return format!("no answer within {within:?}");
            }
            None => return STOPPING.to_owned(),
        };
        info!("the stream to placement is open");
        self.runtime.connected.store(true, Relaxed);
        let lease = match lease_of(response.metadata()) {
            Ok(lease) => lease,
            Err(reason) => return reason,
        };
        if let Err(reason) = self.step(Event::Accepted { lease }, &outbox).await {
            return reason;
        }
        let stream = Stream {
            orders: response.into_inner(),
            outbox,
            hosted,
            store,
            extended: lease.is_some(),
        };
        self.serve(stream).await
    }

    async fn serve(&mut self, mut stream: Stream) -> String {
        loop {
            let deadline = self.client.deadline();
            let wake = tokio::select! {
                order = stream.orders.next() => Wake::Order(order),
                version = settled(&mut self.settling) => Wake::Settled(version),
                Ok(()) = stream.hosted.changed() => Wake::Hosting,
                Ok(()) = stream.store.changed() => Wake::Hosting,
                () = until(deadline) => Wake::Deadline,
                () = self.shutdown.cancelled() => {
                    self.leave(stream).await;
                    return STOPPING.to_owned();
                }
            };
            let outcome = match self.event(wake) {
                Ok(event) => self.step(event, &stream.outbox).await,
                Err(reason) => Err(reason),
            };
            if let Err(reason) = outcome {
                return reason;
            }
            if self.client.routing().version().is_some() {
                self.had_table = true;
                self.route.succeeded();
            }
        }
    }

    fn refused(&mut self, status: &Status) -> String {
        self.route.ended(status);
        words(status)
    }

    fn event(&mut self, wake: Wake) -> Result<Event, String> {
        match wake {
            Wake::Order(Some(Ok(order))) => orders::event_of(order),
            Wake::Order(Some(Err(status))) => Err(self.refused(&status)),
            Wake::Order(None) => Err("placement closed it".to_owned()),
            Wake::Settled(version) => {
                self.settling = None;
                Ok(Event::Settled { version })
            }
            Wake::Hosting => Ok(Event::Hosting(self.runtime.entities())),
            Wake::Deadline => Ok(Event::Tick),
        }
    }

    async fn step(&mut self, event: Event, outbox: &mpsc::Sender<Host>) -> Result<(), String> {
        for action in self.client.step(event, now()) {
            match action {
                Action::Report { entities } => send(outbox, self.report(entities)).await?,
                Action::Acknowledge { phase, version } => {
                    send(outbox, self.acknowledgement(phase, version)).await?;
                }
                Action::Beat { beat } => send(outbox, self.beat(beat)).await?,
                Action::Lease(lease) => self.runtime.set_lease(lease),
                Action::Publish(routing) => self.runtime.publish(routing),
                Action::Settle { version, moved } => {
                    let round = settle(Arc::clone(&self.runtime), version, moved);
                    self.settling = Some(after(self.settling.take(), round));
                }
                Action::Ready => self.runtime.ready.store(true, Relaxed),
                Action::HaltAll { by } => self.halt_all(by).await,
                Action::Ignored { phase, version } => {
                    warn!(%phase, version, "an order of placement does not fit and is ignored");
                }
                Action::Close(error) => {
                    if matches!(error, ProtocolError::LeaseOver { .. }) {
                        self.route.fell_silent();
                    }
                    return Err(error.to_string());
                }
            }
        }
        Ok(())
    }

    /// Gives up everything while the stream is still open: placement hands the actors to others only
    /// once it is closed.
    async fn leave(&mut self, mut stream: Stream) {
        let halted = tokio::time::timeout(CLOSE_WITHIN, self.lose()).await;
        if halted.is_err() {
            warn!("not every actor was deactivated within {CLOSE_WITHIN:?}");
            // Without a goodbye placement waits until the lease is over.
            self.runtime.claims.cut();
            return;
        }
        if stream.extended && send(&stream.outbox, self.goodbye()).await.is_ok() {
            // It has arrived when placement ends the stream.
            let ended = async { while let Some(Ok(_)) = stream.orders.next().await {} };
            if tokio::time::timeout(GOODBYE_WITHIN, ended).await.is_err() {
                debug!("placement did not answer the goodbye within {GOODBYE_WITHIN:?}");
            }
        }
    }

    /// Without its stream this sidecar must assume that others take its actors over.
    async fn lose(&mut self) {
        self.runtime.connected.store(false, Relaxed);
        self.runtime.ready.store(false, Relaxed);
        for action in self.client.step(Event::Lost, now()) {
            match action {
                Action::Lease(lease) => self.runtime.set_lease(lease),
                Action::Publish(routing) => self.runtime.publish(routing),
                Action::HaltAll { by } => self.halt_all(by).await,
                other => debug!(?other, "nothing can be sent without a stream"),
            }
        }
    }

    fn report(&self, entities: Vec<Arc<str>>) -> Host {
        let settings = &self.runtime.settings;
        Host {
            name: settings.host_address.clone(),
            entities: entities.iter().map(ToString::to_string).collect(),
            id: settings.app_id.clone(),
            namespace: settings.namespace.clone(),
            operation: HostOperation::Report.into(),
            #[allow(deprecated, reason = "placement of earlier versions reads it")]
            api_level: API_LEVEL,
            ..Host::default()
        }
    }

    /// Brings everything to an end, calls under way at the latest with the lease: from then on the actors
    /// may be served elsewhere.
    async fn halt_all(&mut self, by: Option<std::time::Instant>) {
        let settling = self.settling.take();
        let calls = async {
            // What an earlier round grants to calls under way is theirs.
            if let Some(settling) = settling {
                settling.await;
            }
            drain(&self.runtime, &self.runtime.claims.types()).await;
        };
        tokio::select! {
            () = calls => {}
            () = until(by) => self.runtime.claims.cut(),
        }
        self.runtime.host.deactivate_where(|_| true).await;
    }

    fn beat(&self, beat: u64) -> Host {
        Host {
            version: Some(beat),
            ..self.goodbye()
        }
    }

    /// What every message says, and nothing else.
    fn goodbye(&self) -> Host {
        Host {
            id: self.runtime.settings.app_id.clone(),
            namespace: self.runtime.settings.namespace.clone(),
            ..Host::default()
        }
    }

    fn acknowledgement(&self, phase: Phase, version: u64) -> Host {
        let operation = match phase {
            Phase::Lock => HostOperation::Lock,
            Phase::Update => HostOperation::Update,
            Phase::Unlock => HostOperation::Unlock,
        };
        Host {
            operation: operation.into(),
            version: Some(version),
            ..self.goodbye()
        }
    }
}

async fn open(
    channel: Channel,
    messages: mpsc::Receiver<Host>,
    had_table: bool,
) -> Result<tonic::Response<Streaming<PlacementOrder>>, Status> {
    let mut request = tonic::Request::new(ReceiverStream::new(messages));
    let announced = MetadataValue::from_static(extension::VERSION);
    let metadata = request.metadata_mut();
    metadata.insert(extension::DIALECT, announced.clone());
    if had_table {
        metadata.insert(extension::RETURNING, announced);
    }
    PlacementClient::new(channel)
        .report_dapr_status(request)
        .await
}

/// What placement says about leases; upstream's says nothing.
fn lease_of(metadata: &MetadataMap) -> Result<Option<Duration>, String> {
    let Some(value) = metadata.get(extension::LEASE) else {
        return Ok(None);
    };
    let millis = value.to_str().ok().and_then(|text| text.parse().ok());
    let usable = millis.filter(|millis| *millis >= SHORTEST_LEASE_MILLIS);
    let lease = usable.ok_or_else(|| format!("placement's lease {value:?} is no number of ms"))?;
    Ok(Some(Duration::from_millis(lease)))
}

async fn send(outbox: &mpsc::Sender<Host>, message: Host) -> Result<(), String> {
    let closed = |_| "placement reads no more".to_owned();
    outbox.send(message).await.map_err(closed)
}

fn words(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

async fn until(deadline: Option<std::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(Instant::from_std(deadline)).await,
        None => std::future::pending().await,
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

#[cfg(test)]
mod tests;
