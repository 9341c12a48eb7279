//! One connection to a cluster, shared by all calls, that comes back by itself.
//!
//! Where it breaks, the next call connects anew, to the next endpoint that can be reached; those that arrive meanwhile
//! wait for that attempt. A call that changes nothing is made again once, over a new connection. One that may have been
//! carried out is not: who made it is told that nobody knows.

use std::time::Duration;

use http::uri::PathAndQuery;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use trilby_components::causes::with_causes;
use trilby_components::state::StateError;

use crate::settings::LIMIT;
use crate::wire::Call;

/// The largest answer. Servers refuse requests of more than 1.5 MiB unless they are told otherwise, and are not meant to
/// be told much more.
const LARGEST_ANSWER: usize = 256 * 1024 * 1024;

/// The connection, whether it is up or not.
#[derive(Debug)]
pub(crate) struct Link {
    /// At least one.
    endpoints: Vec<Endpoint>,
    current: Mutex<Current>,
    /// Held while connecting, so that there is one attempt at a time.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Current {
    /// Counts connections, so that a late failure of an old one leaves the new one alone.
    generation: u64,
    channel: Option<Channel>,
    /// Which endpoint is tried first.
    next: usize,
    /// Why the last attempt failed, for those who waited for it.
    failure: Option<(Instant, String)>,
    closed: bool,
}

/// What is known of a call that failed.
enum Failure {
    /// There is no connection.
    NotSent(String),
    /// The connection broke, or nothing came back in time.
    Lost(String),
    /// The server's answer.
    Refused(StateError),
}

impl Link {
    pub(crate) fn new(endpoints: Vec<Endpoint>) -> Self {
        Self {
            endpoints,
            current: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        }
    }

    /// Makes a call; again, once, if it is lost and may be repeated.
    pub(crate) async fn call<C: Call>(&self, call: C) -> Result<C::Response, StateError> {
        let outcome = match self.attempt(call.clone()).await {
            Err(Failure::Lost(_)) if C::REPEATABLE => self.attempt(call).await,
            outcome => outcome,
        };
        outcome.map_err(|failure| match failure {
            Failure::NotSent(reason) | Failure::Lost(reason) => {
                StateError::Unavailable(format!("etcd: {reason}"))
            }
            Failure::Refused(error) => error,
        })
    }

    /// Drops the connection for good.
    pub(crate) fn close(&self) {
        let mut current = self.current.lock();
        current.closed = true;
        current.channel = None;
    }

    async fn attempt<C: Call>(&self, call: C) -> Result<C::Response, Failure> {
        let (generation, channel) = self.channel().await.map_err(Failure::NotSent)?;
        let failure = match timeout(LIMIT, unary(channel, call)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(status)) => classify(&status),
            Err(_) => Failure::Lost(late(LIMIT)),
        };
        if matches!(failure, Failure::Lost(_)) {
            self.discard(generation);
        }
        Err(failure)
    }

    async fn channel(&self) -> Result<(u64, Channel), String> {
        let arrived = Instant::now();
        if let Some(found) = self.current.lock().usable()? {
            return Ok(found);
        }
        let _one_at_a_time = self.connecting.lock().await;
        let first = {
            let current = self.current.lock();
            if let Some(found) = current.usable()? {
                return Ok(found);
            }
            match &current.failure {
                Some((when, reason)) if *when >= arrived => return Err(reason.clone()),
                _ => current.next,
            }
        };
        let outcome = self.connect(first).await;
        let mut current = self.current.lock();
        match outcome {
            Ok((place, channel)) => {
                current.generation += 1;
                current.next = place;
                current.failure = None;
                current.channel = (!current.closed).then(|| channel.clone());
                Ok((current.generation, channel))
            }
            Err(reason) => {
                current.failure = Some((Instant::now(), reason.clone()));
                Err(reason)
            }
        }
    }

    /// The first endpoint that can be reached, beginning with number `first`.
    async fn connect(&self, first: usize) -> Result<(usize, Channel), String> {
        let mut reasons = Vec::new();
        for step in 0..self.endpoints.len() {
            let place = (first + step) % self.endpoints.len();
            let endpoint = &self.endpoints[place];
            let reason = match timeout(LIMIT, endpoint.connect()).await {
                Ok(Ok(channel)) => return Ok((place, channel)),
                Ok(Err(error)) => with_causes(&error),
                Err(_) => format!("no connection within {LIMIT:?}"),
            };
            reasons.push(format!("{}: {reason}", endpoint.uri()));
        }
        Err(reasons.join("; "))
    }

    fn discard(&self, generation: u64) {
        let mut current = self.current.lock();
        if current.generation == generation && current.channel.take().is_some() {
            current.next = (current.next + 1) % self.endpoints.len();
        }
    }
}

impl Current {
    fn usable(&self) -> Result<Option<(u64, Channel)>, String> {
        if self.closed {
            return Err("the component was closed".to_owned());
        }
        let channel = self.channel.clone();
        Ok(channel.map(|channel| (self.generation, channel)))
    }
}

async fn unary<C: Call>(channel: Channel, call: C) -> Result<C::Response, Status> {
    let mut grpc = Grpc::new(channel).max_decoding_message_size(LARGEST_ANSWER);
    let ready = grpc.ready().await;
    ready.map_err(|error| Status::unavailable(with_causes(&error)))?;
    let mut request = Request::new(call);
    // The server gives up, too.
    request.set_timeout(LIMIT);
    let path = PathAndQuery::from_static(C::PATH);
    let codec = ProstCodec::<C, C::Response>::default();
    grpc.unary(request, path, codec)
        .await
        .map(tonic::Response::into_inner)
}

fn late(limit: Duration) -> String {
    format!("it did not answer within {limit:?}")
}

fn classify(status: &Status) -> Failure {
    let told = || format!("etcd: {}", status.message());
    match status.code() {
        Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled | Code::Aborted => {
            Failure::Lost(with_causes(status))
        }
        Code::DeadlineExceeded => Failure::Lost(late(LIMIT)),
        // No space, too many requests; or a lease that ended before it was used.
        Code::ResourceExhausted | Code::NotFound => {
            Failure::Refused(StateError::Unavailable(told()))
        }
        Code::InvalidArgument => Failure::Refused(StateError::InvalidRequest(told())),
        _ => Failure::Refused(StateError::Store(told())),
    }
}
