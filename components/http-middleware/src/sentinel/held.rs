//! A body that keeps its request's place until it has been read or dropped.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use trilby_components::middleware::{Body, BodyError};

use super::guard::Entry;

pub(super) fn until_the_end(body: Body, entry: Entry) -> Body {
    Body::new(Held {
        body,
        _entry: entry,
    })
}

struct Held {
    body: Body,
    _entry: Entry,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
