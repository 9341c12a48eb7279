//! Callers that are no API server, while an API server has pods reviewed.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use crate::{installation::Installation, tls::Webhook, workloads::bare};

/// Longer than the injector waits for a body, on a machine that has much else to do.
const LIMIT: Duration = Duration::from_secs(120);
/// Callers that send half a review and wait.
const SLOW: usize = 200;
/// As `trilby_webhook::read` has it.
const BODY_LIMIT: usize = 8 << 20;

async fn connect(installation: &Installation) -> TlsStream<TcpStream> {
    let anchors = installation.anchors().as_bytes();
    Webhook::of(installation).connect(anchors).await.unwrap()
}

/// Begins a review of so many bytes.
async fn begin(installation: &Installation, length: usize) -> TlsStream<TcpStream> {
    let mut stream = connect(installation).await;
    let head = format!(
        "POST /mutate HTTP/1.1\r\nhost: injector\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// The status line of the answer, and the rest of it.
async fn answer(mut stream: TlsStream<TcpStream>) -> (String, String) {
    let mut answer = Vec::new();
    let read = timeout(LIMIT, stream.read_to_end(&mut answer)).await;
    // Who is refused before it has sent everything may find the connection closed under it, behind the answer.
    drop(read.expect("there is an answer in time"));
    let answer = String::from_utf8(answer).unwrap();
    let (status, rest) = answer.split_once("\r\n").unwrap_or_default();
    (status.to_owned(), rest.to_owned())
}

async fn sent(installation: &Installation, body: &str) -> (String, String) {
    let mut stream = begin(installation, body.len()).await;
    stream.write_all(body.as_bytes()).await.unwrap();
    answer(stream).await
}

async fn a_pod_is_served(installation: &Installation, namespace: &str, name: &str) {
    let pod = bare(namespace, name, &json!({}));
    installation.api.apply(&pod.to_string()).await;
    let pod = installation
        .api
        .get_json(namespace, &format!("pod/{name}"))
        .await;
    assert_eq!(pod["spec"]["containers"][1]["name"], "daprd", "{pod:#}");
}

#[tokio::test]
async fn what_is_no_review_is_refused_and_keeps_nobody_waiting() {
    let installation = Installation::shared().await;
    let namespace = installation.api.namespace("rough").await;
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let mut stream = begin(installation, 1000).await;
        stream.write_all(b"{\"request\":").await.unwrap();
        slow.push(stream);
    }
    a_pod_is_served(installation, &namespace, "meanwhile").await;

    let null = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null}"#;
    let deep = "[".repeat(1 << 20);
    for (body, reason) in [
        (null, "the review holds no request"),
        ("{\"request\": {\"uid\":", "EOF while parsing"),
        (deep.as_str(), "invalid type: sequence"),
    ] {
        let (status, answer) = sent(installation, body).await;
        assert_eq!(status, "HTTP/1.1 200 OK", "{reason}");
        assert!(answer.contains("\"allowed\":false"), "{answer}");
        assert!(answer.contains(reason), "{answer}");
    }
    let mut huge = begin(installation, BODY_LIMIT + 1).await;
    // It need not be read to its end.
    drop(huge.write_all(&vec![b' '; BODY_LIMIT + 1]).await);
    let (status, answer) = answer(huge).await;
    assert_eq!(status, "HTTP/1.1 413 Payload Too Large");
    assert!(answer.contains("larger than 8 MiB"), "{answer}");
    // Gone in the middle of a review.
    drop(begin(installation, 1000).await);

    for stream in slow {
        let (status, answer) = self::answer(stream).await;
        assert_eq!(status, "HTTP/1.1 408 Request Timeout", "{answer}");
    }
    a_pod_is_served(installation, &namespace, "afterwards").await;
}
