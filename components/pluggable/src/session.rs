//! One component on a socket: connected, initialised, and both again when its process was started anew.

use std::{collections::HashMap, path::PathBuf, pin::Pin, time::Duration};

use parking_lot::RwLock;
use tokio::{sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use trilby_components::{metadata::Metadata, registry::InitError};

use crate::{
    connection::{ForInstance, Process, Transport, Unanswered, connect, judged},
    errors,
};

/// Longest time for the answer of a component. Upstream's sidecar has no limit of its own; whoever waits less long gives
/// up earlier, and the component is told.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// Longest message that a component may answer with.
pub(crate) const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// How many connections a call tries: the one that is there may be lost without anyone having noticed.
const ATTEMPTS: usize = 2;

/// What a component is configured with.
pub(crate) type Properties = HashMap<String, String>;
/// Calls `Init` of a block.
pub(crate) type Init =
    fn(Transport, Properties) -> Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>;

/// A component, for as long as it is used.
pub(crate) struct Session {
    socket: PathBuf,
    name: String,
    properties: Properties,
    init: Init,
    live: RwLock<Option<Live>>,
    /// Held by whoever connects, so that callers which come together make one connection.
    opening: Mutex<Opening>,
    closed: CancellationToken,
}

/// A connection on which the component is initialised.
#[derive(Clone)]
struct Live {
    transport: Transport,
    number: u64,
}

/// What is known of connections made before.
#[derive(Default)]
struct Opening {
    count: u64,
    /// In which the component was initialised last.
    process: Option<Process>,
    /// For those who waited for the attempt.
    failure: Option<(Instant, Status)>,
}

/// A request with the limit for its answer.
pub(crate) fn limited<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_LIMIT);
    request
}

fn lost() -> Status {
    Status::unavailable("the process of the component went away")
}

impl Session {
    /// Connects and initialises the component of that name, for as long as whoever waits has patience.
    ///
    /// # Errors
    /// Its process is away, or refuses.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing but what the process remembers.
    pub(crate) async fn start(
        socket: PathBuf,
        (name, metadata): (&str, &Metadata),
        init: Init,
    ) -> Result<Self, InitError> {
        let value = |name: &str| metadata.get(name).unwrap_or_default().to_owned();
        let names = metadata.names();
        let session = Self {
            socket,
            name: name.to_owned(),
            properties: names.map(|name| (name.to_owned(), value(name))).collect(),
            init,
            live: RwLock::default(),
            opening: Mutex::default(),
            closed: CancellationToken::new(),
        };
        session
            .live()
            .await
            .map_err(|status| errors::init(&status))?;
        Ok(session)
    }

    /// Asks the component. What could not be sent, because the process went away since the last call, is sent to the one
    /// that took its place.
    ///
    /// # Errors
    /// The component's status; `Unavailable` when there is none, or it takes too long.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the call, which the component is told; it may have been carried out.
    pub(crate) async fn call<T, F>(&self, ask: impl Fn(Transport) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let calling = async {
            for _ in 0..ATTEMPTS {
                let live = self.live().await?;
                let status = match ask(live.transport).await {
                    Ok(answered) => return Ok(answered),
                    Err(status) => status,
                };
                match judged(status) {
                    Unanswered::Answered(status) => return Err(status),
                    Unanswered::MaybeSent(status) => {
                        self.forget(live.number);
                        return Err(status);
                    }
                    Unanswered::NotSent => self.forget(live.number),
                }
            }
            Err(lost())
        };
        let limited = tokio::time::timeout(CALL_LIMIT, calling);
        match self.closed.run_until_cancelled(limited).await {
            Some(Ok(answered)) => answered.map(Response::into_inner),
            Some(Err(_)) => Err(Status::unavailable(format!(
                "the component {} did not answer within {CALL_LIMIT:?}",
                self.name
            ))),
            None => Err(Status::unavailable("the component is closed")),
        }
    }

    /// Ends the calls that are under way, and the connection.
    pub(crate) fn close(&self) {
        self.closed.cancel();
        self.live.write().take();
    }

    async fn live(&self) -> Result<Live, Status> {
        let live = || self.live.read().clone();
        if let Some(live) = live() {
            return Ok(live);
        }
        let asked = Instant::now();
        let mut opening = self.opening.lock().await;
        if let Some(live) = live() {
            return Ok(live);
        }
        if let Some((_, status)) = opening.failure.as_ref().filter(|(when, _)| *when >= asked) {
            return Err(status.clone());
        }
        match self.open(&mut opening).await {
            Ok(live) => {
                opening.failure = None;
                *self.live.write() = Some(live.clone());
                Ok(live)
            }
            Err(status) => {
                opening.failure = Some((Instant::now(), status.clone()));
                Err(status)
            }
        }
    }

    async fn open(&self, opening: &mut Opening) -> Result<Live, Status> {
        let (transport, process) = connect(&self.socket, ForInstance::named(&self.name)).await?;
        // A connection also ends where the process goes on, which remembers its components.
        if opening.process != Some(process) {
            if opening.process.take().is_some() {
                tracing::info!(
                    component = self.name,
                    "the process of a pluggable component was started anew, the component is initialised again"
                );
            }
            let initialised = (self.init)(transport.clone(), self.properties.clone()).await;
            initialised.map_err(|status| match judged(status) {
                Unanswered::Answered(status) | Unanswered::MaybeSent(status) => status,
                Unanswered::NotSent => lost(),
            })?;
            opening.process = Some(process);
        }
        opening.count += 1;
        Ok(Live {
            transport,
            number: opening.count,
        })
    }

    fn forget(&self, number: u64) {
        let mut live = self.live.write();
        live.take_if(|live| live.number == number);
    }
}
