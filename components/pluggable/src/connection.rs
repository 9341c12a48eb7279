//! One connection to a socket. It is not made again when it is lost: a process that starts again has to be told anew
//! what its components are, so whoever uses the connection makes the next one.

use std::{error::Error, fmt, iter::successors, path::Path, time::Duration};

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use tower::service_fn;
use trilby_components::causes::with_causes;

use crate::folder::Stamp;

/// By which a process tells its components apart.
const INSTANCE: &str = "x-component-instance";
/// Longest time for a connection to come about.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// What calls go through.
pub(crate) type Transport = InterceptedService<Channel, ForInstance>;

/// Says for which component a call is.
#[derive(Debug, Clone)]
pub(crate) struct ForInstance(Option<MetadataValue<Ascii>>);

/// Who answers on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    file: Stamp,
    /// Its number, where it can be seen: not across containers.
    id: Option<i32>,
}

/// A connection that was made once is lost: what was asked of it was not sent.
#[derive(Debug)]
struct Lost;

impl ForInstance {
    /// The component of that name; what is no text of a header is left out.
    pub(crate) fn named(name: &str) -> Self {
        Self(name.parse().ok())
    }

    /// None of them.
    pub(crate) fn none() -> Self {
        Self(None)
    }
}

impl Interceptor for ForInstance {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(name) = &self.0 {
            request.metadata_mut().insert(INSTANCE, name.clone());
        }
        Ok(request)
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is lost")
    }
}

impl Error for Lost {}

/// Connects.
///
/// # Errors
/// `Unavailable`, with the reason in words.
///
/// # Cancel safety
/// It may be dropped at any point.
pub(crate) async fn connect(
    socket: &Path,
    instance: ForInstance,
) -> Result<(Transport, Process), Status> {
    let failed = |reason: &dyn fmt::Display| {
        let text = format!("connection to {} failed: {reason}", socket.display());
        Status::unavailable(text)
    };
    match tokio::time::timeout(CONNECT_LIMIT, dial(socket)).await {
        Ok(Ok((channel, process))) => Ok((InterceptedService::new(channel, instance), process)),
        Ok(Err(error)) => Err(failed(&with_causes(&*error))),
        Err(_) => Err(failed(&format_args!("timed out after {CONNECT_LIMIT:?}"))),
    }
}

async fn dial(socket: &Path) -> Result<(Channel, Process), Box<dyn Error + Send + Sync>> {
    let file = Stamp::from(&tokio::fs::metadata(socket).await?);
    let stream = UnixStream::connect(socket).await?;
    let process = Process {
        file,
        id: stream.peer_cred()?.pid().filter(|id| *id != 0),
    };
    // The one stream; a channel that asks for another has lost it.
    let stream = parking_lot::Mutex::new(Some(stream));
    let connector = service_fn(move |_| {
        let stream = stream.lock().take();
        async move { stream.map(TokioIo::new).ok_or(Lost) }
    });
    // The address is never resolved, but has to be one.
    let endpoint = Endpoint::from_static("http://component");
    let channel = endpoint.connect_with_connector(connector).await?;
    Ok((channel, process))
}

/// How a call ended that has no answer of the component.
pub(crate) enum Unanswered {
    /// The connection was lost before anything was sent.
    NotSent,
    /// It was lost later: the call may have been carried out.
    MaybeSent(Status),
    /// No such call: this is the component's answer.
    Answered(Status),
}

/// Tells a component's failures from those of its connection.
pub(crate) fn judged(status: Status) -> Unanswered {
    // What a component says has no cause on this side.
    let Some(cause) = Error::source(&status) else {
        return Unanswered::Answered(status);
    };
    let mut causes = successors(Some(cause), |&cause| cause.source());
    let unsent = |cause: &(dyn Error + 'static)| {
        let http = cause.downcast_ref::<hyper::Error>();
        cause.is::<Lost>() || http.is_some_and(hyper::Error::is_canceled)
    };
    if causes.any(unsent) {
        return Unanswered::NotSent;
    }
    let text = format!("the connection was lost: {}", with_causes(cause));
    Unanswered::MaybeSent(Status::unavailable(text))
}
