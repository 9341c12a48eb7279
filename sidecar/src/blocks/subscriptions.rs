//! Subscriptions: which messages reach the application, and how.
//!
//! ```text
//! resources, /dapr/subscribe ─▶ Supervisor ─▶ Follower (one a subscription) ─polls─▶ the broker's Consumption
//! streams of the gRPC API ──────────┘             └─ Consumer: event ─▶ route ─▶ Receiver: application or stream
//!                                                       └─ dead letters ─▶ PubSub
//! ```
//!
//! A [`Follower`](follower::Follower) outlives its component: it goes on with the one that replaces it, stops while the
//! application is unhealthy, and begins again. What a broker hands over is acknowledged when the application took it, or
//! when it is safe in the dead-letter topic; everything else comes again.

mod ask;
mod batches;
mod consumer;
mod deliver;
mod follower;
mod stream;
mod supervisor;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};
use trilby_pubsub::subscription::Subscription;
use trilby_resiliency::Resiliency;
use trilby_resources::Resources;
use trilby_telemetry::Tracing;

use super::pubsub::PubSub;
use crate::channel::AppChannel;
use crate::metrics::PubSubMetrics;

pub use stream::{Answers, Processed, Streamed, Streaming};
pub use supervisor::Supervisor;

/// Requests that wait for the supervisor.
const WAITING: usize = 16;

/// What every subscription needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Where components are.
    pub resources: Resources,
    /// Policies.
    pub resiliency: Resiliency,
    /// Where dead letters go.
    pub pubsub: PubSub,
    /// The application, if there is one.
    pub app: Option<AppChannel>,
    /// Whether the application may be called.
    pub healthy: watch::Receiver<bool>,
    /// Whether the application is asked what it subscribes to.
    pub asks: bool,
    /// The largest answer of the application, in bytes.
    pub max_body: usize,
    /// Spans.
    pub tracing: Tracing,
    /// Counters.
    pub metrics: PubSubMetrics,
}

/// The subscriptions of one sidecar. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Subscriptions {
    parts: Parts,
    commands: mpsc::Sender<Command>,
    shown: Arc<ArcSwap<Vec<Shown>>>,
}

/// How a subscription came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The application's answer.
    Programmatic,
    /// A stream of the gRPC API.
    Streaming,
}

/// A subscription that no resource declares, as the metadata API shows it.
#[derive(Debug, Clone)]
pub struct Shown {
    /// How it came to be.
    pub source: Source,
    /// What it is.
    pub subscription: Arc<Subscription>,
}

/// What the supervisor is asked for.
enum Command {
    /// The application is there, and this is what it subscribes to.
    Begin(Vec<Subscription>, oneshot::Sender<()>),
    /// A client of the gRPC API subscribes.
    Stream(stream::Joining),
}

impl Subscriptions {
    /// The subscriptions, and what has to run for them.
    pub fn new(parts: Parts) -> (Self, Supervisor) {
        let (commands, asked) = mpsc::channel(WAITING);
        let shown = Arc::default();
        let supervisor = Supervisor::new(parts.clone(), asked, Arc::clone(&shown));
        let subscriptions = Self {
            parts,
            commands,
            shown,
        };
        (subscriptions, supervisor)
    }

    /// The application is there: asks it what it subscribes to, and begins with everything. Returns once every
    /// subscription has begun, or has failed to for the first time.
    pub async fn begin(&self) {
        let programmatic = ask::ask(&self.parts).await;
        let (begun, ended) = oneshot::channel();
        let command = Command::Begin(programmatic, begun);
        if self.commands.send(command).await.is_ok() {
            // It ends without an answer when the sidecar does.
            ended.await.ok();
        }
    }

    /// Returns once there can be no more subscriptions: the sidecar ends.
    pub async fn ended(&self) {
        self.commands.closed().await;
    }

    /// What there is beside what resources declare, for the metadata API.
    pub fn shown(&self) -> Arc<Vec<Shown>> {
        self.shown.load_full()
    }
}
