//! Whether a client speaks HTTP/2, told by its first bytes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// What every HTTP/2 connection begins with.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    Http1,
    Http2,
}

/// Reads until it is clear what the client speaks; what was read is given back by the returned stream.
///
/// # Errors
/// The client left before.
pub(super) async fn recognise<I>(mut io: I) -> io::Result<(Spoken, Rewound<I>)>
where
    I: AsyncRead + Unpin,
{
    let mut first = [0; PREFACE.len()];
    let mut read = 0;
    loop {
        let count = io.read(&mut first[read..]).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        read += count;
        let spoken = match PREFACE.strip_prefix(&first[..read]) {
            None => Spoken::Http1,
            Some([]) => Spoken::Http2,
            Some(_unclear) => continue,
        };
        let rewound = Rewound {
            io,
            first,
            unread: (0, read),
        };
        return Ok((spoken, rewound));
    }
}

/// A stream that gives its first bytes again.
#[derive(Debug)]
pub(super) struct Rewound<I> {
    io: I,
    first: [u8; PREFACE.len()],
    /// From where to where `first` is still to be given.
    unread: (usize, usize),
}

impl<I: AsyncRead + Unpin> AsyncRead for Rewound<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (from, to) = self.unread;
        if from == to {
            return Pin::new(&mut self.io).poll_read(cx, buffer);
        }
        let count = buffer.remaining().min(to - from);
        buffer.put_slice(&self.first[from..from + count]);
        self.unread.0 += count;
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Rewound<I> {
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::{PREFACE, Spoken, recognise};

    async fn check(parts: &[&[u8]], expected: Spoken) {
        let (mut client, server) = tokio::io::duplex(1024);
        for part in parts {
            client.write_all(part).await.unwrap();
            tokio::task::yield_now().await;
        }
        let (spoken, mut again) = recognise(server).await.unwrap();
        assert_eq!(spoken, expected, "{parts:?}");
        drop(client);
        let mut all = Vec::new();
        again.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, parts.concat());
    }

    #[tokio::test]
    async fn first_bytes_tell_and_are_given_again() {
        check(&[b"GET / HTTP/1.1\r\n\r\n"], Spoken::Http1).await;
        check(&[b"P", b"OST / HTTP/1.1\r\n\r\n"], Spoken::Http1).await;
        check(&[b"PRI * HTTP/1.1\r\n\r\n"], Spoken::Http1).await;
        check(&[&PREFACE[..3], &PREFACE[3..], b"settings"], Spoken::Http2).await;
    }

    #[tokio::test]
    async fn client_that_leaves_is_an_error() {
        let (client, server) = tokio::io::duplex(64);
        drop(client);
        assert!(recognise(server).await.is_err());
    }
}
