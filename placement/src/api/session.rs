//! One stream of one sidecar.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::HeaderMap;
use http_body::Frame;
use tonic::{Status, Streaming};
use tracing::debug;
use trilby_placement_protocol::server::StreamId;
use trilby_proto::placement::v1::Host;

use super::ownership::Ownership;
use crate::{
    hub::{self, Notice, Notices, Orders, Outbox},
    leadership::Post,
    wire::{self, Announced, Message, Origin, Sender},
};

/// Checks what a sidecar says, passes it on, and yields the orders it gets. It lives as long as the
/// answer to the call; the hub notices when it is dropped.
pub(crate) struct Session {
    opened: Opened,
    post: Post,
    notices: Notices,
    inbound: Streaming<Host>,
    orders: Orders,
    stage: Stage,
}

/// What is known of a stream before its first message.
pub(crate) struct Opened {
    pub stream: StreamId,
    pub sender: Sender,
    pub announced: Announced,
    pub ownership: Ownership,
}

enum Stage {
    /// Nothing was said yet.
    Silent(Outbox),
    Joined(Origin),
    Over,
}

// === impl Session ===

impl Session {
    /// A stream to the hub behind `notices`, which serves while `post` leads.
    pub(crate) fn new(
        opened: Opened,
        (post, notices): (Post, Notices),
        inbound: Streaming<Host>,
    ) -> Self {
        let (outbox, orders) = hub::outbox();
        Self {
            opened,
            post,
            notices,
            inbound,
            orders,
            stage: Stage::Silent(outbox),
        }
    }

    /// The orders as frames of an answer, to the end of the stream.
    pub(crate) fn into_frames(self) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
        stream::unfold(self, async |mut session| {
            let frame = match session.next().await? {
                Ok(order) => Frame::data(order),
                Err(status) => {
                    debug!(code = ?status.code(), reason = status.message(), "stream ends");
                    session.stage = Stage::Over;
                    Frame::trailers(trailers(&status))
                }
            };
            Some((Ok(frame), session))
        })
    }

    /// The next order, while passing on what the sidecar says; `None` once it is gone.
    async fn next(&mut self) -> Option<Result<Bytes, Status>> {
        if matches!(self.stage, Stage::Over) {
            return None;
        }
        loop {
            tokio::select! {
                biased;
                order = self.orders.next() => return Some(order),
                message = self.inbound.message() => {
                    // A sidecar that went away without a word needs no answer.
                    let host = message.ok().flatten()?;
                    if let Err(status) = self.take(host).await {
                        return Some(Err(status));
                    }
                }
            }
        }
    }

    async fn take(&mut self, host: Host) -> Result<(), Status> {
        let dialect = self.opened.announced.dialect;
        let from = self.opened.sender.check(&host, dialect)?;
        self.opened.ownership.check(&host)?;
        match &self.stage {
            Stage::Silent(outbox) => {
                let outbox = outbox.clone();
                self.join(outbox, from, host).await
            }
            Stage::Joined(origin) => {
                origin.check_same(&from)?;
                self.tell(Notice::Said {
                    stream: self.opened.stream,
                    message: Message::new(host, dialect),
                })
                .await
            }
            Stage::Over => Ok(()),
        }
    }

    async fn join(&mut self, outbox: Outbox, origin: Origin, host: Host) -> Result<(), Status> {
        let namespace = origin.namespace.clone();
        self.tell(Notice::Joined {
            stream: self.opened.stream,
            namespace,
            member: wire::member(host),
            announced: self.opened.announced,
            outbox,
        })
        .await?;
        // From here on the hub alone holds the way to this stream: when it lets go, the stream ends.
        self.stage = Stage::Joined(origin);
        Ok(())
    }

    async fn tell(&self, notice: Notice) -> Result<(), Status> {
        let sent = self.notices.send(notice).await;
        sent.map_err(|_| self.post.refusal())
    }
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // The texts of all statuses are percent-encoded, and so are fit for headers.
    if let Err(unfit) = status.add_header(&mut trailers) {
        debug!(%unfit, "a status does not fit into headers");
    }
    trailers
}
