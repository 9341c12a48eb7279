//! Keeps a server stream open: opens it, hands every message on, opens it again when it ends.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::{Stream, StreamExt as _};
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::Backoff;

/// A stream that lived this long was healthy, so the next attempt waits only the first pause.
const HEALTHY: Duration = Duration::from_secs(30);

/// What is followed, and what to do with it.
#[async_trait]
pub trait Follower: Send {
    /// One message.
    type Item: Send;
    /// The open stream, such as `tonic::Streaming<Item>`.
    type Stream: Stream<Item = Result<Self::Item, Status>> + Send + Unpin;

    /// Opens the stream. Must not wait without a limit.
    async fn open(&mut self) -> Result<Self::Stream, Status>;

    /// Takes one message. While it works no further message is read, which slows the server down.
    /// An error closes the stream; it is opened again after a pause.
    async fn item(&mut self, item: Self::Item) -> Result<(), Status>;

    /// The stream could not be opened, or ended; it is tried again after `retry_in`.
    fn lost(&mut self, status: &Status, retry_in: Duration);
}

/// Follows until the server says that it has no such stream ([`Code::Unimplemented`]), which is
/// returned. Everything else is retried for ever.
///
/// # Cancel safety
/// May be dropped at any await; an item that was being taken may be lost.
pub async fn follow<F: Follower>(follower: &mut F, mut backoff: Backoff) -> Status {
    loop {
        let opened = Instant::now();
        let mut delivered = false;
        let status = one_stream(follower, &mut delivered).await;
        if status.code() == Code::Unimplemented {
            return status;
        }
        if delivered || opened.elapsed() >= HEALTHY {
            backoff.reset();
        }
        let pause = backoff.pause();
        follower.lost(&status, pause);
        tokio::time::sleep(pause).await;
    }
}

async fn one_stream<F: Follower>(follower: &mut F, delivered: &mut bool) -> Status {
    let mut stream = match follower.open().await {
        Ok(stream) => stream,
        Err(status) => return status,
    };
    loop {
        match stream.next().await {
            Some(Ok(item)) => {
                if let Err(status) = follower.item(item).await {
                    return status;
                }
                *delivered = true;
            }
            Some(Err(status)) => return status,
            None => return Status::unavailable("the server ended the stream"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use futures_util::stream::{self, BoxStream};

    use super::*;

    type Script = Vec<Result<u32, Status>>;

    struct Scripted {
        streams: VecDeque<Result<Script, Status>>,
        taken: Vec<u32>,
        lost: Vec<(Code, Duration)>,
    }

    #[async_trait]
    impl Follower for Scripted {
        type Item = u32;
        type Stream = BoxStream<'static, Result<u32, Status>>;

        async fn open(&mut self) -> Result<Self::Stream, Status> {
            let end = || Err(Status::unimplemented("unknown method"));
            let items = self.streams.pop_front().unwrap_or_else(end)?;
            Ok(stream::iter(items).boxed())
        }

        async fn item(&mut self, item: u32) -> Result<(), Status> {
            if item == 13 {
                return Err(Status::internal("unlucky"));
            }
            self.taken.push(item);
            Ok(())
        }

        fn lost(&mut self, status: &Status, retry_in: Duration) {
            self.lost.push((status.code(), retry_in));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_stream_is_opened_again_until_it_does_not_exist() {
        let mut follower = Scripted {
            streams: VecDeque::from([
                Err(Status::unavailable("away")),
                Ok(vec![Ok(1), Ok(2)]),
                Ok(vec![Ok(3), Err(Status::aborted("restart")), Ok(99)]),
                Ok(vec![Ok(13), Ok(98)]),
                Ok(vec![Ok(4)]),
            ]),
            taken: Vec::new(),
            lost: Vec::new(),
        };
        let end = follow(&mut follower, Backoff::default()).await;
        assert_eq!(end.code(), Code::Unimplemented);
        assert_eq!(follower.taken, [1, 2, 3, 4]);
        let codes: Vec<_> = follower.lost.iter().map(|(code, _)| *code).collect();
        assert_eq!(
            codes,
            [
                Code::Unavailable,
                Code::Unavailable,
                Code::Aborted,
                Code::Internal,
                Code::Unavailable
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_only_while_nothing_arrives() {
        let away = || Err(Status::unavailable("away"));
        let mut follower = Scripted {
            streams: (0..20).map(|_| away()).chain([Ok(vec![Ok(1)])]).collect(),
            taken: Vec::new(),
            lost: Vec::new(),
        };
        follow(&mut follower, Backoff::default()).await;
        let pauses: Vec<_> = follower.lost.iter().map(|(_, pause)| *pause).collect();
        assert!(pauses[19] >= Duration::from_secs(30), "{pauses:?}");
        assert!(pauses[20] < Duration::from_secs(1), "{pauses:?}");
    }
}
