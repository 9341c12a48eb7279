//! `--wait`: ends when a sidecar on this host is ready for outbound calls.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(100);
/// How long one question may take.
const QUESTION_LIMIT: Duration = Duration::from_millis(500);
/// How long to ask at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// The whole of `daprd --wait`. Succeeds also when nothing became ready in time, as upstream does; the log says
/// which it was.
pub fn main(port: u16) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ready = runtime.map(|runtime| runtime.block_on(until_outbound_ready(port)));
    let text = match ready {
        Ok(true) => format!("the sidecar on port {port} is ready for outbound calls"),
        Ok(false) => format!(
            "the sidecar on port {port} did not become ready within {} s",
            PATIENCE.as_secs()
        ),
        Err(error) => format!("cannot ask the sidecar on port {port}: {error}"),
    };
    // Where standard error is closed, the exit code is all that is left to say.
    drop(writeln!(std::io::stderr(), "{text}"));
    ExitCode::SUCCESS
}

/// Asks the sidecar on `port` until it is ready. Returns whether it became ready in time.
pub async fn until_outbound_ready(port: u16) -> bool {
    let asking = async {
        while !matches!(timeout(QUESTION_LIMIT, is_ready(port)).await, Ok(Ok(true))) {
            sleep(PAUSE).await;
        }
    };
    timeout(PATIENCE, asking).await.is_ok()
}

async fn is_ready(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("localhost", port)).await?;
    let request = format!(
        "GET /v1.0/healthz/outbound HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    Ok(&head == b"HTTP/1.1 204")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::until_outbound_ready;

    #[tokio::test]
    async fn asks_again_until_ready() {
        let listener = tokio::net::TcpListener::bind("localhost:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let sidecar = async {
            for status in ["500 Internal Server Error", "204 No Content"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 512];
                assert!(stream.read(&mut request).await.unwrap() > 0);
                stream
                    .write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes())
                    .await
                    .unwrap();
            }
        };
        let (ready, ()) = tokio::join!(until_outbound_ready(port), sidecar);
        assert!(ready);
    }
}
