use std::convert::Infallible;

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use tonic::Status;
use trilby_proto::common::v1::{InvokeRequest, StreamPayload};
use trilby_proto::internals::v1::{InternalInvokeRequest, InternalInvokeRequestStream};

use super::{Incoming, LARGEST_PIECE, Outgoing};
use crate::payload::Payload;

type Request = InternalInvokeRequestStream;

fn head() -> InternalInvokeRequest {
    InternalInvokeRequest {
        message: Some(InvokeRequest::default()),
        ..Default::default()
    }
}

fn piece(seq: u64, data: &'static str) -> StreamPayload {
    StreamPayload {
        data: Bytes::from_static(data.as_bytes()),
        seq,
    }
}

fn message(payload: StreamPayload) -> Result<Request, Status> {
    Ok(Request {
        request: None,
        payload: Some(payload),
    })
}

async fn sent(body: Payload) -> Vec<Request> {
    Outgoing::<Request>::new(head(), body)
        .map(Result::unwrap)
        .collect()
        .await
}

async fn received(
    first: Option<StreamPayload>,
    rest: Vec<Result<Request, Status>>,
) -> Result<Bytes, Status> {
    let body = Incoming::new(first, tokio_stream::iter(rest));
    body.collect().await.map(|collected| collected.to_bytes())
}

#[tokio::test]
async fn small_body_travels_with_the_head() {
    let messages = sent(Payload::from(Bytes::from_static(b"hi"))).await;
    assert_eq!(messages.len(), 1);
    assert!(messages[0].request.is_some());
    assert_eq!(messages[0].payload, Some(piece(0, "hi")));
}

#[tokio::test]
async fn empty_body_is_a_head_alone() {
    let messages = sent(Payload::empty()).await;
    assert_eq!(messages.len(), 1);
    assert!(messages[0].request.is_some() && messages[0].payload.is_none());
}

#[tokio::test]
async fn large_body_is_cut_and_numbered() {
    let messages = sent(Payload::from(Bytes::from(vec![7; 2 * LARGEST_PIECE + 1]))).await;
    let numbers: Vec<u64> = messages
        .iter()
        .map(|message| message.payload.as_ref().unwrap().seq)
        .collect();
    assert_eq!(numbers, [0, 1, 2]);
    assert!(messages[1].request.is_none());
}

#[tokio::test]
async fn head_does_not_wait_for_a_slow_body() {
    let slow = Body::from_stream(tokio_stream::pending::<Result<Bytes, Infallible>>());
    let mut messages = Outgoing::<Request>::new(head(), Payload::Stream(slow));
    let first = messages.next().await.unwrap().unwrap();
    assert!(first.request.is_some() && first.payload.is_none());
}

#[tokio::test]
async fn pieces_join_to_the_body() {
    let rest = vec![
        message(piece(1, "b")),
        Ok(Request::default()),
        message(piece(2, "c")),
    ];
    assert_eq!(received(Some(piece(0, "a")), rest).await.unwrap(), "abc");
}

#[tokio::test]
async fn gap_in_the_numbers_ends_the_body() {
    let error = received(Some(piece(0, "a")), vec![message(piece(2, "c"))])
        .await
        .unwrap_err();
    assert_eq!(
        error.message(),
        "invalid sequence number received: 2 (expected: 1)"
    );
}

#[tokio::test]
async fn second_head_ends_the_body() {
    let late = Ok(Request {
        request: Some(head()),
        payload: None,
    });
    let error = received(None, vec![late]).await.unwrap_err();
    assert_eq!(
        error.message(),
        "request metadata found in non-leading chunk"
    );
}
