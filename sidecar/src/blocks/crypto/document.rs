//! A document on its way through.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use trilby_components_crypto::scheme::{HeaderReader, SchemeError, Segments};

/// What comes out while `S` goes in, a segment at a time. Nothing runs unless the next segment is asked for, and what
/// comes out is authentic; after an error nothing more does.
#[derive(Debug)]
pub struct Document<S> {
    header: Option<Bytes>,
    /// What came in and was not looked at yet.
    chunk: Bytes,
    /// `None` after the last one.
    segments: Option<Segments>,
    input: S,
}

impl<S: Stream<Item = Result<Bytes, String>> + Unpin> Document<S> {
    pub(super) fn new(header: Option<Bytes>, chunk: Bytes, segments: Segments, input: S) -> Self {
        Self {
            header,
            chunk,
            segments: Some(segments),
            input,
        }
    }

    /// The next piece; `None` after the last.
    ///
    /// # Errors
    /// The input broke off, or is not authentic: in the words of the API.
    pub async fn next(&mut self) -> Option<Result<Bytes, String>> {
        if let Some(header) = self.header.take() {
            return Some(Ok(header));
        }
        let next = self.segment().await.transpose()?;
        if next.is_err() {
            self.segments = None;
        }
        Some(next)
    }

    async fn segment(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            let Some(segments) = &mut self.segments else {
                return Ok(None);
            };
            let segment = segments.push(&mut self.chunk);
            if let Some(segment) = segment.map_err(|error| error.to_string())? {
                return Ok(Some(segment));
            }
            match self.input.next().await {
                Some(chunk) => self.chunk = chunk?,
                None => return self.last(),
            }
        }
    }

    fn last(&mut self) -> Result<Option<Bytes>, String> {
        let last = self.segments.take().map(Segments::finish).transpose();
        last.map(Option::flatten).map_err(|error| error.to_string())
    }

    /// All that follows.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, String>> {
        futures_util::stream::unfold(self, async |mut document| {
            let piece = document.next().await?;
            Some((piece, document))
        })
    }
}

/// The next piece of a header. One that breaks off is none, whatever the reason.
pub(super) async fn next_chunk<S: Stream<Item = Result<Bytes, String>> + Unpin>(
    input: &mut S,
    reader: &HeaderReader,
) -> Result<Bytes, SchemeError> {
    match input.next().await {
        Some(Ok(chunk)) => Ok(chunk),
        Some(Err(reason)) => {
            tracing::debug!(reason, "a document broke off in its header");
            Err(reader.ended())
        }
        None => Err(reader.ended()),
    }
}
