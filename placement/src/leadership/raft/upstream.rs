//! Recognises a replica of upstream's placement, which speaks hashicorp's Raft.

use std::{io, sync::Arc, time::Duration};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use trilby_grpc::Target;

/// A request for a vote whose every field is absent: of no version that any server supports, so that it is answered
/// with an error and changes nothing. The kind of the request, then an empty map of `MessagePack`.
const EMPTY_REQUEST: [u8; 2] = [1, 0x80];

/// Every answer begins with a text of `MessagePack`, which is the error.
const TEXT: [std::ops::RangeInclusive<u8>; 2] = [0xa0..=0xbf, 0xd9..=0xdb];

/// Whether hashicorp's Raft is spoken there. No answer within `limit` means no.
pub(super) async fn is_spoken(
    target: Target,
    tls: Option<Arc<ClientConfig>>,
    limit: Duration,
) -> bool {
    let asked = tokio::time::timeout(limit, ask(target, tls)).await;
    matches!(asked, Ok(Ok(first)) if TEXT.iter().any(|range| range.contains(&first)))
}

/// The first byte of the answer.
async fn ask(target: Target, tls: Option<Arc<ClientConfig>>) -> io::Result<u8> {
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
    let Some(tls) = tls else {
        return exchange(stream).await;
    };
    let name = ServerName::try_from("spiffe.invalid").expect("is a DNS name");
    exchange(TlsConnector::from(tls).connect(name, stream).await?).await
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<u8> {
    stream.write_all(&EMPTY_REQUEST).await?;
    stream.flush().await?;
    stream.read_u8().await
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    /// A server that reads two bytes and answers so.
    async fn recognised(answer: &'static [u8]) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("it is bound");
        let serve = async {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut request = [0; 2];
            stream.read_exact(&mut request).await.expect("a request");
            assert_eq!(request, EMPTY_REQUEST);
            stream.write_all(answer).await.expect("it listens");
        };
        let target = Target {
            host: address.ip().to_string(),
            port: address.port(),
        };
        tokio::join!(is_spoken(target, None, LIMIT), serve).0
    }

    #[tokio::test]
    async fn answer_in_message_pack_gives_upstream_away() {
        assert!(recognised(b"\xa5error\x80").await);
        assert!(recognised(b"\xd9\x40operation not supported").await);
    }

    #[tokio::test]
    async fn others_are_not_taken_for_it() {
        assert!(!recognised(b"\x00\x00\x12\x04").await, "HTTP/2");
        assert!(!recognised(b"HTTP/1.1 400").await);
        assert!(!recognised(b"").await);
    }
}
