//! Asking a sidecar's internal port who it is.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use trilby_identity::{Expect, SpiffeId, TrustBundle, channel, peer_id};
use x509_parser::parse_x509_certificate;

use crate::forward::Forward;

/// The port on which a sidecar listens for others.
pub const INTERNAL_PORT: u16 = 50002;

/// How a connection starts that speaks gRPC without TLS.
const PLAINTEXT_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// Limit for a sidecar to answer or to hang up. It gives a peer 10 s to shake hands.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a sidecar presented.
#[derive(Clone, Debug)]
pub struct Presented {
    /// Whom its certificate names.
    pub id: SpiffeId,
    /// The certificate's serial number, as hexadecimal text.
    pub serial: String,
    /// Until when it is valid.
    pub not_after: String,
    /// How the sidecar refused a peer that presented nothing.
    pub refusal: String,
}

/// Shakes hands without a certificate of one's own. What the sidecar presents must chain to `anchors` (PEM) and hold one
/// SPIFFE ID; the sidecar must refuse us.
///
/// # Errors
/// If it presents nothing, something else, or accepts a peer that nobody knows.
pub async fn ask(forward: &Forward, anchors: &str) -> Result<Presented> {
    let (_publisher, stranger) = channel(TrustBundle::from_pem(anchors.as_bytes())?);
    let connector = TlsConnector::from(stranger.client_tls(Expect::Any));
    let name = ServerName::try_from("sidecar").context("it is a DNS name")?;
    let connecting = timeout(PATIENCE, connector.connect(name, forward.connect().await?));
    let mut stream = connecting
        .await
        .context("the sidecar does not shake hands")?
        .context("the sidecar's certificate")?;
    let chain = stream.get_ref().1.peer_certificates();
    let leaf = chain.and_then(<[_]>::first);
    let leaf = leaf.context("the sidecar presents no certificate")?.clone();

    // With TLS 1.3 the client's part is over before the server has judged it: the verdict comes with the first read.
    let mut answer = [0; 64];
    let refusal = match timeout(PATIENCE, stream.read(&mut answer)).await {
        Ok(Err(error)) => error.to_string(),
        Ok(Ok(0)) => "connection closed".to_owned(),
        Ok(Ok(_)) => bail!("the sidecar answers a peer without a certificate"),
        Err(_) => bail!("the sidecar keeps a connection of a peer without a certificate"),
    };
    describe(&leaf, refusal)
}

fn describe(leaf: &CertificateDer<'_>, refusal: String) -> Result<Presented> {
    let (_, certificate) = parse_x509_certificate(leaf).context("reading the certificate")?;
    Ok(Presented {
        id: peer_id(leaf)?,
        serial: certificate.raw_serial_as_string(),
        not_after: certificate.validity().not_after.to_string(),
        refusal,
    })
}

/// Speaks gRPC without TLS; the sidecar must not answer in kind.
///
/// # Errors
/// If it does.
pub async fn refuses_plaintext(forward: &Forward) -> Result<()> {
    let mut stream = forward.connect().await?;
    stream.write_all(PLAINTEXT_PREFACE).await?;
    let mut answer = Vec::new();
    let reading = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    let Ok(outcome) = reading else {
        bail!("the sidecar keeps a connection without TLS");
    };
    // An alert of TLS begins with 21; a reset is as good an answer as a close.
    let alert = answer.first().is_none_or(|kind| *kind == 21);
    if outcome.is_ok() && !alert {
        bail!("the sidecar answers without TLS: {answer:?}");
    }
    Ok(())
}
