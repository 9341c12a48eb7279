//! gRPC as small as it gets: ten thousand clients share one process.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use h2::{
    RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::{Request, header::CONTENT_TYPE};

/// Flag and length before a message.
const HEAD: usize = 5;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Begins a call of `dapr.proto.operator.v1.Operator` with one message.
pub(crate) async fn call(
    client: &SendRequest<Bytes>,
    method: &str,
    message: &impl prost::Message,
) -> Result<Answer, Failure> {
    let path = format!("/dapr.proto.operator.v1.Operator/{method}");
    let (response, mut request) = begin(client, &path).await?;
    request.send_data(framed(message), true)?;
    Ok(Answer::Awaited(response))
}

/// Begins a call that the client keeps open.
pub(crate) async fn begin(
    client: &SendRequest<Bytes>,
    path: &str,
) -> Result<(ResponseFuture, SendStream<Bytes>), Failure> {
    let request = Request::post(format!("https://operator{path}"))
        .header(CONTENT_TYPE, "application/grpc")
        .header("te", "trailers")
        .body(())?;
    Ok(client.clone().ready().await?.send_request(request, false)?)
}

fn framed(message: &impl prost::Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(HEAD + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap());
    message.encode(&mut bytes).unwrap();
    bytes.freeze()
}

/// What a call yields.
pub(crate) enum Answer {
    /// Some servers send a head with their first message only.
    Awaited(ResponseFuture),
    Begun(RecvStream, BytesMut),
}

impl Answer {
    /// The next message; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            match self {
                Self::Awaited(response) => {
                    let body = response.await?.into_body();
                    *self = Self::Begun(body, BytesMut::new());
                }
                Self::Begun(body, read) => {
                    if let Some(message) = message(read) {
                        return Ok(Some(message));
                    }
                    let Some(data) = body.data().await else {
                        return Ok(None);
                    };
                    let data = data?;
                    body.flow_control().release_capacity(data.len())?;
                    read.extend_from_slice(&data);
                }
            }
        }
    }
}

fn message(read: &mut BytesMut) -> Option<Bytes> {
    let length = read.get(1..HEAD)?;
    let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
    if read.len() < HEAD + length {
        return None;
    }
    read.advance(HEAD);
    let message = read.split_to(length).freeze();
    if read.is_empty() {
        // Thousands of idle streams keep no buffers.
        *read = BytesMut::new();
    }
    Some(message)
}
