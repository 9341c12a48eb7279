//! A text in capitals, frame by frame.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use trilby_components::middleware::{Body, BodyError};

/// The same body in capitals.
pub(super) fn body(body: Body) -> Body {
    Body::new(Capitals {
        body,
        cut: BytesMut::new(),
    })
}

struct Capitals {
    body: Body,
    /// The beginning of a character whose end has not arrived.
    cut: BytesMut,
}

impl http_body::Body for Capitals {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                None if self.cut.is_empty() => return Poll::Ready(None),
                None => {
                    let rest = String::from_utf8_lossy(&self.cut.split()).into_owned();
                    return Poll::Ready(Some(Ok(Frame::data(rest.into()))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => frame,
            };
            match frame.into_data() {
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                Ok(data) => {
                    let text = capitals(&mut self.cut, &data);
                    if !text.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(text.into()))));
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.cut.is_empty() && self.body.is_end_stream()
    }
}

/// `cut` and `data` in capitals, but for a last character that is not complete, which stays in `cut`.
/// What is no text becomes replacement characters.
fn capitals(cut: &mut BytesMut, data: &[u8]) -> String {
    cut.extend_from_slice(data);
    let bytes = cut.split();
    let mut text = String::with_capacity(bytes.len());
    let mut chunks = bytes.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        text.extend(chunk.valid().chars().map(capital));
        match chunk.invalid() {
            [] => {}
            open if chunks.peek().is_none() && is_beginning(open) => cut.extend_from_slice(open),
            _ => text.push(char::REPLACEMENT_CHARACTER),
        }
    }
    text
}

/// Whether more bytes could complete a character.
fn is_beginning(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// One character for one, as Go has it: those whose capital is several letters stay.
fn capital(character: char) -> char {
    let mut capitals = character.to_uppercase();
    match (capitals.next(), capitals.next()) {
        (Some(capital), None) => capital,
        _ => character,
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::capitals;

    fn split(text: &[u8], at: usize) -> String {
        let mut cut = BytesMut::new();
        let mut joined = capitals(&mut cut, &text[..at]);
        joined.push_str(&capitals(&mut cut, &text[at..]));
        assert!(cut.is_empty());
        joined
    }

    #[test]
    fn characters_survive_any_cut() {
        let text = "aé€😀ß".as_bytes();
        for at in 0..=text.len() {
            assert_eq!(split(text, at), "AÉ€😀ß");
        }
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        assert_eq!(split(b"a\xffb", 1), "A\u{fffd}B");
    }
}
