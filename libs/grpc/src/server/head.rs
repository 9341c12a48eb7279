//! A bound on how long the head of an HTTP/1 request may take.
//!
//! It runs from the head's first byte, so that a connection kept open between two requests has all the time it
//! wants: a server that closes those at its own time breaks the next request of clients that pool connections.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::activity::Activity;

/// A stream that fails to read when a request's head does not become complete in time.
#[derive(Debug)]
pub(super) struct HeadTimeout<I> {
    io: I,
    limit: Duration,
    activity: Activity,
    head: Option<Head>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// A head of which some bytes are there.
#[derive(Debug, Clone, Copy)]
struct Head {
    since: Instant,
    /// How many requests had begun before it.
    after: u64,
}

impl<I> HeadTimeout<I> {
    /// Bounds the heads on `io`, of which the first has begun.
    pub(super) fn new(io: I, limit: Duration, activity: Activity) -> Self {
        let mut stream = Self {
            io,
            limit,
            activity,
            head: None,
            timer: None,
        };
        stream.saw_bytes();
        stream
    }

    /// The stream without its bound.
    pub(super) fn into_inner(self) -> I {
        self.io
    }

    fn saw_bytes(&mut self) {
        let after = self.activity.started();
        let known = self.head.is_some_and(|head| head.after == after);
        if !known && self.activity.is_idle() {
            let since = Instant::now();
            self.head = Some(Head { since, after });
        }
    }

    /// Whether the head that is being read has taken too long. Wakes the task when it will have.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let incomplete = |head: &Head| head.after == self.activity.started();
        let Some(head) = self.head.filter(incomplete) else {
            (self.head, self.timer) = (None, None);
            return Poll::Pending;
        };
        let limit = self.limit;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(head.since + limit)));
        timer.as_mut().poll(cx)
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for HeadTimeout<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.io).poll_read(cx, buffer) {
            Poll::Ready(result) => {
                if buffer.filled().len() > before {
                    self.saw_bytes();
                }
                Poll::Ready(result)
            }
            Poll::Pending => self.poll_overdue(cx).map(|()| {
                let text = "the request's head did not become complete in time";
                Err(io::Error::new(io::ErrorKind::TimedOut, text))
            }),
        }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for HeadTimeout<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
