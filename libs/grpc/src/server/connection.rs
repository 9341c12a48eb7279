//! HTTP on one accepted connection.

use std::{convert::Infallible, error::Error, future::Future, io, pin::Pin};

use futures_util::future::{Either, ready};
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
    upgrade::Upgrade,
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

/// The requests of one connection.
#[derive(Clone)]
struct Requests<S> {
    service: S,
    activity: Activity,
    peer: PeerIdentity,
}

impl<S> Requests<S> {
    fn answer<B>(
        &self,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Counted<B>>, Infallible>> + use<S, B>
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone,
    {
        let open = self.activity.open();
        request.extensions_mut().insert(self.peer.clone());
        let answering = self.service.clone().oneshot(request);
        // In a box, which is gone when the answer begins: streams that stay open keep no place for their beginning.
        Box::pin(async move { Ok(answering.await?.map(|body| Counted::new(body, open))) })
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
        let recognised = self.in_time(recognise(stream)).await?;
        match (self.config.protocols, recognised.0) {
            (Protocols::Http1, Spoken::Http2) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the client speaks another version of HTTP",
            )),
            // Whatever the client speaks, it is answered in HTTP/2, as Go's gRPC servers do: who tries TLS learns at
            // once that this is none.
            (Protocols::Http2, _) => Ok((Spoken::Http2, recognised.1)),
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
        let requests = Requests {
            service: self.service.clone(),
            activity: Activity::new(),
            peer,
        };
        match (spoken, self.config.protocols) {
            (Spoken::Http2, _) => self.http2(stream, requests).await,
            (Spoken::Http1, Protocols::Http1AndH2c) => self.http1_first(stream, requests).await,
            (Spoken::Http1, _) => self.http1(stream, requests).await,
        }
    }

    async fn http1<I>(
        &self,
        stream: Rewound<I>,
        requests: Requests<S>,
    ) -> Result<(), Box<dyn Error + Send + Sync>>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = requests.activity.clone();
        let stream = HeadTimeout::new(stream, self.config.head_timeout, activity.clone());
        let service = service_fn(move |request| requests.answer(request));
        let connection = self
            .http
            .http1
            .serve_connection(TokioIo::new(stream), service);
        let stop = http1::Connection::graceful_shutdown;
        Ok(self.drive(Box::pin(connection), stop, &activity).await?)
    }

    async fn http2<I>(
        &self,
        stream: I,
        requests: Requests<S>,
    ) -> Result<(), Box<dyn Error + Send + Sync>>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = requests.activity.clone();
        let service = service_fn(move |request| requests.answer(request));
        let connection = self
            .http
            .http2
            .serve_connection(TokioIo::new(stream), service);
        let stop = http2::Connection::graceful_shutdown;
        Ok(self.drive(Box::pin(connection), stop, &activity).await?)
    }

    /// HTTP/1.1 until the client asks to go on in HTTP/2.
    async fn http1_first<I>(
        &self,
        stream: Rewound<I>,
        requests: Requests<S>,
    ) -> Result<(), Box<dyn Error + Send + Sync>>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (activity, upgrade) = (requests.activity.clone(), Upgrade::default());
        let stream = HeadTimeout::new(stream, self.config.head_timeout, activity.clone());
        let (answering, asking) = (requests.clone(), upgrade.clone());
        let service = service_fn(move |mut request| match asking.begin(&mut request) {
            Some(switching) => Either::Left(ready(Ok(switching))),
            None => Either::Right(answering.answer(request)),
        });
        let connection = self
            .http
            .http1
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let stop = http1::UpgradeableConnection::graceful_shutdown;
        self.drive(Box::pin(connection), stop, &activity).await?;
        let Some(asked) = upgrade.asked() else {
            return Ok(());
        };
        let stream = asked.connection(HeadTimeout::<Rewound<I>>::into_inner);
        self.http2(self.in_time(stream).await?, requests).await
    }

    /// What a client says at first, unless it takes too long.
    async fn in_time<T>(&self, said: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        tokio::select! {
            () = self.cancel.cancelled() => Err(io::ErrorKind::UnexpectedEof.into()),
            done = timeout(self.config.head_timeout, said) => {
                done.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the client said nothing in time"))?
            }
        }
    }

    /// Runs a connection to its end, which `stop` begins when the server stops or nothing is asked for too long.
    ///
    /// It comes in a box: futures keep a place for what was moved on, and this is handed on often.
    async fn drive<C: Future>(
        &self,
        mut connection: Pin<Box<C>>,
        stop: fn(Pin<&mut C>),
        activity: &Activity,
    ) -> C::Output {
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
