//! A body: in memory, and so replayable, or still arriving.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;

/// Why a body ended early.
pub type BodyError = axum::Error;

/// The content of a request or of a response.
#[derive(Debug)]
pub enum Payload {
    /// Complete; may be sent again.
    Bytes(Bytes),
    /// Passed on as it arrives; can be sent once.
    Stream(Body),
}

/// A body that could not be taken into memory.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// Larger than allowed.
    #[error("body is larger than {limit} bytes")]
    TooLarge {
        /// The largest body allowed, in bytes.
        limit: usize,
    },
    /// The sender went away or broke the protocol.
    #[error("{0}")]
    Broken(BodyError),
}

impl Payload {
    /// No content.
    pub const fn empty() -> Self {
        Self::Bytes(Bytes::new())
    }

    /// A body of which the beginning, and perhaps all of it, is there already. What is whole is held in memory, so that
    /// its length is known.
    pub fn arriving(mut body: Body) -> Self {
        if body.is_end_stream() {
            return Self::empty();
        }
        let first = match body.frame().now_or_never() {
            None => return Self::Stream(body),
            Some(None) => return Self::empty(),
            Some(Some(first)) => first,
        };
        let Ok(data) = first.as_ref().map(Frame::data_ref) else {
            return Self::begun(first, body);
        };
        let data = data.cloned().unwrap_or_default();
        if body.is_end_stream() {
            return Self::Bytes(data);
        }
        match body.frame().now_or_never() {
            Some(None) => Self::Bytes(data),
            Some(Some(second)) => Self::Stream(Body::new(Begun {
                ready: [Some(first), Some(second)],
                rest: body,
            })),
            None => Self::begun(first, body),
        }
    }

    fn begun(first: Result<Frame<Bytes>, BodyError>, rest: Body) -> Self {
        Self::Stream(Body::new(Begun {
            ready: [None, Some(first)],
            rest,
        }))
    }

    /// The length in bytes, if it is known before the end.
    pub fn known_length(&self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Stream(body) => body.size_hint().exact(),
        }
    }

    /// The content again, if it is in memory.
    pub fn replay(&self) -> Option<Self> {
        match self {
            Self::Bytes(bytes) => Some(Self::Bytes(bytes.clone())),
            Self::Stream(_) => None,
        }
    }

    /// What is needed to send the content again: all of it, or one that is still arriving as long as nobody began to
    /// read it.
    pub fn spare(&mut self) -> Spare {
        match std::mem::replace(self, Self::empty()) {
            Self::Bytes(bytes) => {
                *self = Self::Bytes(bytes.clone());
                Spare::Bytes(bytes)
            }
            Self::Stream(body) => {
                let shared = Arc::new(Mutex::new(Some(body)));
                *self = Self::Stream(Body::new(Lent {
                    shared: Arc::clone(&shared),
                    begun: None,
                }));
                Spare::Untouched(shared)
            }
        }
    }

    /// Takes everything into memory.
    ///
    /// # Errors
    /// The content is larger than `limit` bytes or ends early.
    pub async fn collect(self, limit: usize) -> Result<Bytes, CollectError> {
        match self {
            Self::Bytes(bytes) if bytes.len() > limit => Err(CollectError::TooLarge { limit }),
            Self::Bytes(bytes) => Ok(bytes),
            Self::Stream(body) => collect(body, limit).await,
        }
    }

    /// The content as a body for a client or a server.
    pub fn into_body(self) -> Body {
        match self {
            Self::Bytes(bytes) if bytes.is_empty() => Body::empty(),
            Self::Bytes(bytes) => Body::from(bytes),
            Self::Stream(body) => body,
        }
    }
}

/// Content to send again, see [`Payload::spare`].
#[derive(Debug)]
pub enum Spare {
    /// Complete.
    Bytes(Bytes),
    /// Not read yet, unless it is gone.
    Untouched(Arc<Mutex<Option<Body>>>),
}

impl Spare {
    /// The content; `None` when its reading has begun.
    pub fn take(self) -> Option<Payload> {
        match self {
            Self::Bytes(bytes) => Some(Payload::Bytes(bytes)),
            Self::Untouched(body) => body.lock().take().map(Payload::Stream),
        }
    }
}

/// A body that can be had back until it is read.
struct Lent {
    shared: Arc<Mutex<Option<Body>>>,
    begun: Option<Body>,
}

impl http_body::Body for Lent {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.begun.is_none() {
            let untouched = self.shared.lock().take();
            self.begun = untouched;
        }
        match &mut self.begun {
            Some(body) => Pin::new(body).poll_frame(context),
            // Taken back: nobody waits for what this one says.
            None => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.begun {
            Some(body) => body.size_hint(),
            None => self
                .shared
                .lock()
                .as_ref()
                .map(Body::size_hint)
                .unwrap_or_default(),
        }
    }
}

/// A body whose first frames have been read.
struct Begun {
    ready: [Option<Result<Frame<Bytes>, BodyError>>; 2],
    rest: Body,
}

impl http_body::Body for Begun {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let [first, second] = &mut self.ready;
        match first.take().or_else(|| second.take()) {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let ready = self.ready.iter().flatten().flatten();
        let ready: usize = ready.filter_map(Frame::data_ref).map(Bytes::len).sum();
        match self.rest.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(rest + ready as u64),
            None => SizeHint::default(),
        }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

/// Takes a body into memory; one that arrives in a single frame is not copied.
///
/// # Errors
/// As [`Payload::collect`].
pub async fn collect(mut body: Body, limit: usize) -> Result<Bytes, CollectError> {
    let too_large = CollectError::TooLarge { limit };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large);
    }
    let mut first = Bytes::new();
    let mut joined: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(CollectError::Broken)?.into_data() else {
            continue;
        };
        let so_far = joined.as_ref().map_or(first.len(), BytesMut::len);
        if so_far + data.len() > limit {
            return Err(too_large);
        }
        if so_far == 0 {
            first = data;
        } else {
            joined
                .get_or_insert_with(|| BytesMut::from(&first[..]))
                .extend_from_slice(&data);
        }
    }
    Ok(joined.map_or(first, BytesMut::freeze))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Body;
    use bytes::Bytes;
    use http_body_util::BodyExt as _;
    use tokio_stream::StreamExt as _;

    use super::{CollectError, Payload, collect};

    fn frames(parts: &'static [&'static str]) -> Body {
        Body::from_stream(tokio_stream::iter(
            parts
                .iter()
                .map(|part| Ok::<_, Infallible>(Bytes::from(*part))),
        ))
    }

    #[tokio::test]
    async fn frames_are_joined_in_order() {
        assert_eq!(collect(frames(&["a", "bc", "d"]), 4).await.unwrap(), "abcd");
        assert_eq!(collect(frames(&[]), 4).await.unwrap(), "");
    }

    #[tokio::test]
    async fn limit_holds_for_streams_and_for_memory() {
        let streamed = collect(frames(&["abc", "de"]), 4).await;
        assert!(matches!(streamed, Err(CollectError::TooLarge { limit: 4 })));
        let memory = Payload::from(Bytes::from_static(b"abcde")).collect(4).await;
        assert!(matches!(memory, Err(CollectError::TooLarge { limit: 4 })));
    }

    #[tokio::test]
    async fn body_that_is_there_is_held_in_memory() {
        for parts in [&[][..], &["whole"]] {
            let Payload::Bytes(bytes) = Payload::arriving(frames(parts)) else {
                panic!("{parts:?} is whole");
            };
            assert_eq!(bytes, parts.concat());
        }
    }

    #[tokio::test]
    async fn body_that_has_begun_arrives_whole() {
        for parts in [&["a", "b"][..], &["a", "b", "c", "d"]] {
            let Payload::Stream(body) = Payload::arriving(frames(parts)) else {
                panic!("{parts:?} is not whole");
            };
            assert_eq!(collect(body, 9).await.unwrap(), parts.concat());
        }
        let waiting = Body::from_stream(
            tokio_stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"a"))])
                .chain(tokio_stream::pending()),
        );
        let Payload::Stream(mut body) = Payload::arriving(waiting) else {
            panic!("more may come");
        };
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "a");
    }

    #[tokio::test]
    async fn what_arrives_can_be_had_back_until_it_is_read() {
        let mut payload = Payload::Stream(frames(&["a", "b"]));
        let spare = payload.spare();
        assert_eq!(payload.known_length(), None);
        drop(payload);
        let mut payload = spare.take().expect("nobody read it");
        let spare = payload.spare();
        let mut body = payload.into_body();
        body.frame()
            .await
            .expect("there is one")
            .expect("it is whole");
        assert!(spare.take().is_none());
        assert_eq!(collect(body, 9).await.expect("it is whole"), "b");
        let mut payload = Payload::from(Bytes::from_static(b"x"));
        let spare = payload.spare();
        assert_eq!(payload.collect(9).await.expect("it is whole"), "x");
        assert!(matches!(spare.take(), Some(Payload::Bytes(_))));
    }

    #[test]
    fn only_memory_can_be_replayed() {
        assert!(Payload::from(Bytes::from_static(b"x")).replay().is_some());
        assert!(Payload::Stream(frames(&["x"])).replay().is_none());
    }
}
