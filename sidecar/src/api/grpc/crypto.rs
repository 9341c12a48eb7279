//! Cryptography over gRPC: documents as streams in both directions.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tonic::{Status, Streaming};
use trilby_proto::common::v1::StreamPayload;
use trilby_proto::runtime::v1::{
    DecryptRequest, DecryptResponse, EncryptRequest, EncryptRequestOptions, EncryptResponse,
};

use crate::blocks::crypto::{Crypto, Document, EncryptOptions, failed};
use crate::error::ApiError;

/// How long the first message may take, as upstream has it.
const FIRST_MESSAGE: Duration = Duration::from_secs(5);

/// The answers of a stream.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A message of either stream.
pub(super) trait Message: Send + 'static {
    /// Whether it has options, which only the first may have.
    fn has_options(&self) -> bool;

    /// What it brings.
    fn payload(self) -> Option<StreamPayload>;
}

impl Message for EncryptRequest {
    fn has_options(&self) -> bool {
        self.options.is_some()
    }

    fn payload(self) -> Option<StreamPayload> {
        self.payload
    }
}

impl Message for DecryptRequest {
    fn has_options(&self) -> bool {
        self.options.is_some()
    }

    fn payload(self) -> Option<StreamPayload> {
        self.payload
    }
}

pub(super) async fn encrypt(
    crypto: &Crypto,
    mut messages: Streaming<EncryptRequest>,
) -> Result<Answers<EncryptResponse>, Status> {
    let mut first = first(&mut messages).await?;
    let options = first.options.take().ok_or_else(no_options)?;
    let (provider, options) = options_of(options)?;
    let document = crypto.encrypt(&provider, options, input(first, messages));
    let answers = answers(document.await?);
    Ok(Box::pin(answers.map(|payload| {
        let payload = Some(payload?);
        Ok(EncryptResponse { payload })
    })))
}

pub(super) async fn decrypt(
    crypto: &Crypto,
    mut messages: Streaming<DecryptRequest>,
) -> Result<Answers<DecryptResponse>, Status> {
    let mut first = first(&mut messages).await?;
    let options = first.options.take().ok_or_else(no_options)?;
    let (provider, key) = (options.component_name, options.key_name);
    crypto.check(&provider)?;
    let document = crypto.decrypt(&provider, &key, input(first, messages));
    let answers = answers(document.await?);
    Ok(Box::pin(answers.map(|payload| {
        let payload = Some(payload?);
        Ok(DecryptResponse { payload })
    })))
}

async fn first<M: Message>(messages: &mut Streaming<M>) -> Result<M, ApiError> {
    let message = tokio::time::timeout(FIRST_MESSAGE, messages.message()).await;
    let message = message.map_err(|_| {
        ApiError::bad_request("error waiting for first message: context deadline exceeded")
    })?;
    let receiving = |reason: &str| failed(format!("error receiving the first message: {reason}"));
    let message = message.map_err(|status| receiving(status.message()))?;
    message.ok_or_else(|| receiving("EOF"))
}

fn no_options() -> ApiError {
    ApiError::bad_request("first message does not contain the required options")
}

fn options_of(options: EncryptRequestOptions) -> Result<(String, EncryptOptions), ApiError> {
    let missing = |name: &str| {
        ApiError::bad_request(format!("missing property '{name}' in the options message"))
    };
    if options.key_name.is_empty() {
        return Err(missing("keyName"));
    }
    if options.key_wrap_algorithm.is_empty() {
        return Err(missing("keyWrapAlgorithm"));
    }
    let wanted = EncryptOptions {
        key: options.key_name,
        algorithm: options.key_wrap_algorithm,
        cipher: options.data_encryption_cipher,
        decryption_key: options.decryption_key_name,
        omit_key: options.omit_decryption_key_name,
    };
    Ok((options.component_name, wanted))
}

/// Messages that were not looked at yet, and the number that comes next.
struct Input<M> {
    first: Option<M>,
    messages: Streaming<M>,
    expected: u64,
}

/// The pieces of a document, in order.
fn input<M: Message>(
    first: M,
    messages: Streaming<M>,
) -> impl Stream<Item = Result<Bytes, String>> + Send + Unpin {
    let input = Input {
        first: Some(first),
        messages,
        expected: 0,
    };
    Box::pin(stream::unfold(input, async |mut input| {
        let piece = input.next().await.transpose()?;
        Some((piece, input))
    }))
}

impl<M: Message> Input<M> {
    async fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            let Some(message) = self.message().await? else {
                return Ok(None);
            };
            let Some(payload) = message.payload() else {
                continue;
            };
            if payload.seq != self.expected {
                return Err(format!(
                    "invalid sequence number received: {} (expected: {})",
                    payload.seq, self.expected
                ));
            }
            self.expected += 1;
            if !payload.data.is_empty() {
                return Ok(Some(payload.data));
            }
        }
    }

    async fn message(&mut self) -> Result<Option<M>, String> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let message = self.messages.message().await;
        let message =
            message.map_err(|status| format!("error receiving message: {}", status.message()))?;
        match message {
            Some(message) if message.has_options() => {
                Err("options found in non-leading message".into())
            }
            message => Ok(message),
        }
    }
}

/// Numbered answers. An empty piece of a document is none.
fn answers<S>(document: Document<S>) -> impl Stream<Item = Result<StreamPayload, Status>> + Send
where
    S: Stream<Item = Result<Bytes, String>> + Send + Unpin,
{
    let pieces = document.into_stream();
    let pieces = pieces.filter(|piece| {
        let is_empty = piece.as_ref().is_ok_and(Bytes::is_empty);
        std::future::ready(!is_empty)
    });
    pieces
        .zip(stream::iter(0..))
        .map(|(piece, seq)| match piece {
            Ok(data) => Ok(StreamPayload { data, seq }),
            Err(reason) => Err(failed(reason).status()),
        })
}
