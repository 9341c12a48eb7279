//! HTTP on one accepted connection.

use std::{convert::Infallible, error::Error, future::Future, io, pin::Pin};

use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{sleep, sleep_until, timeout},
};
use tower::{Service, ServiceExt as _};

use super::{
    CONNECTION_WINDOW, Protocols, STREAM_WINDOW, ServeConfig, Server,
    activity::{Activity, Counted},
    head::HeadTimeout,
    preface::{Rewound, Spoken, recognise},
};
use crate::PeerIdentity;

/// Both versions of HTTP, ready to be spoken.
pub(super) struct Http {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Http {
    pub(super) fn new(config: &ServeConfig) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            // Bounded by our own stream, which lets connections rest between requests.
            .header_read_timeout(None)
            .max_header_size(config.max_head);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(config.max_head).unwrap_or(u32::MAX))
            .max_concurrent_streams(config.max_streams)
            .keep_alive_interval(config.keepalive_interval)
            .keep_alive_timeout(config.keepalive_timeout);
        Self { http1, http2 }
    }
}

impl<S, B> Server<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Serves HTTP until the client leaves, stalls, or the server stops.
    pub(super) async fn http<I>(&self, stream: I, peer: PeerIdentity)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let from = peer.addr;
        let result = match self.recognise(stream).await {
            Ok((spoken, stream)) => self.speak((spoken, stream), peer).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = result {
            tracing::debug!(server = self.config.name, peer = ?from, error, "connection ended");
        }
    }

    async fn recognise<I>(&self, stream: I) -> io::Result<(Spoken, Rewound<I>)>
    where
        I: AsyncRead + Unpin,
    {
        let recognised = tokio::select! {
            () = self.cancel.cancelled() => return Err(io::ErrorKind::UnexpectedEof.into()),
            done = timeout(self.config.head_timeout, recognise(stream)) => {
                done.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the client said nothing in time"))??
            }
        };
        match (self.config.protocols, recognised.0) {
            (Protocols::Http1, Spoken::Http2) | (Protocols::Http2, Spoken::Http1) => {
                Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the client speaks another version of HTTP",
                ))
            }
            _ => Ok(recognised),
        }
    }

    async fn speak<I>(
        &self,
        (spoken, stream): (Spoken, Rewound<I>),
        peer: PeerIdentity,
    ) -> Result<(), Box<dyn Error + Send + Sync>>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Activity::new();
        let (service, requests) = (self.service.clone(), activity.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            let open = requests.open();
            request.extensions_mut().insert(peer.clone());
            let answering = service.clone().oneshot(request);
            async move { Ok::<_, Infallible>(answering.await?.map(|body| Counted::new(body, open))) }
        });
        match spoken {
            Spoken::Http1 => {
                let stream = HeadTimeout::new(stream, self.config.head_timeout, activity.clone());
                let connection = self
                    .http
                    .http1
                    .serve_connection(TokioIo::new(stream), service);
                self.drive(connection, http1::Connection::graceful_shutdown, &activity)
                    .await?;
            }
            Spoken::Http2 => {
                let connection = self
                    .http
                    .http2
                    .serve_connection(TokioIo::new(stream), service);
                self.drive(connection, http2::Connection::graceful_shutdown, &activity)
                    .await?;
            }
        }
        Ok(())
    }

    /// Runs a connection to its end, which `stop` begins when the server stops or nothing is asked for too long.
    async fn drive<C: Future>(
        &self,
        connection: C,
        stop: fn(Pin<&mut C>),
        activity: &Activity,
    ) -> C::Output {
        tokio::pin!(connection);
        tokio::select! {
            result = connection.as_mut() => return result,
            () = self.cancel.cancelled() => {}
            () = self.idle_for_too_long(activity) => {}
        }
        stop(connection.as_mut());
        connection.await
    }

    async fn idle_for_too_long(&self, activity: &Activity) {
        let Some(limit) = self.config.max_idle else {
            return std::future::pending().await;
        };
        loop {
            match activity.idle_until(limit) {
                Some(until) if until <= tokio::time::Instant::now() => return,
                Some(until) => sleep_until(until).await,
                // Nobody tells when it becomes idle again; asked now and then, it costs nothing per request.
                None => sleep(limit).await,
            }
        }
    }
}
