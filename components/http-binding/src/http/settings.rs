//! The metadata of `bindings.http`.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use tracing::warn;
use trilby_components::metadata::{
    MetadataError, Schema,
    value::{MostBytes, Seconds, Sensitive},
};
use trilby_components::registry::InitError;
use trilby_https::{Client, Identity, Limits, Tls, authorities};

use super::{Target, token};
use crate::caller::url;
use crate::{LONGEST, MOST_BYTES};

/// Whether a server may begin a TLS handshake again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub(crate) enum Renegotiation {
    /// Never.
    #[serde(rename = "RenegotiateNever")]
    Never,
    /// Once.
    #[serde(rename = "RenegotiateOnceAsClient")]
    Once,
    /// As often as it likes.
    #[serde(rename = "RenegotiateFreelyAsClient")]
    Freely,
}

/// Metadata of the binding.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// What is asked: `http://host:port/path`. Of a request, `path` is appended. A login in it is sent as basic
    /// authentication.
    url: String,
    /// Certificates of the authorities that the server's is checked against, in PEM, or the file they are in. Those of
    /// the system, if it is not given.
    #[serde(rename = "mtlsRootCA")]
    mtls_root_ca: Option<String>,
    /// The client's certificate, in PEM, or the file it is in. It goes with `mtlsClientKey`.
    mtls_client_cert: Option<String>,
    /// The key of the client's certificate, in PEM, or the file it is in.
    mtls_client_key: Option<Sensitive>,
    /// Whether the server may renegotiate TLS: never, whatever is given here.
    #[schemars(extend("effect" = "none"))]
    mtls_renegotiation: Option<Renegotiation>,
    /// A secret that is sent in the header `securityTokenHeader`. It is not sent to servers that the own one redirects to.
    security_token: Option<Sensitive>,
    /// The header that `securityToken` is sent in.
    security_token_header: Option<String>,
    /// How long an answer may take, redirects included. An hour, if it is not given.
    response_timeout: Option<Seconds>,
    /// How large an answer may be, in bytes or with a unit (`10Mi`); 0 and less for any size. A larger one is an error.
    #[schemars(extend("default" = "100Mi"))]
    max_response_body_size: Option<MostBytes>,
    /// Whether an answer is an error unless its status is 2xx. Of a request, `errorIfNot2XX` says something else.
    #[serde(rename = "errorIfNot2XX", default = "yes")]
    error_if_not_2xx: bool,
}

impl Schema for Settings {}

fn yes() -> bool {
    true
}

impl Settings {
    pub(super) fn target(&self) -> Result<Target, MetadataError> {
        url(&self.url).map_err(|reason| MetadataError::invalid("url", reason))?;
        let secret = self.security_token.as_ref().map(Sensitive::expose);
        let token = match (secret, &self.security_token_header) {
            (Some(secret), Some(name)) => Some(
                token(name, secret)
                    .map_err(|reason| MetadataError::invalid("securityTokenHeader", reason))?,
            ),
            (None, None) => None,
            (Some(_), None) => {
                return Err(MetadataError::Missing("securityTokenHeader".to_owned()));
            }
            (None, Some(_)) => return Err(MetadataError::Missing("securityToken".to_owned())),
        };
        Ok(Target {
            url: self.url.clone(),
            token,
            error_if_not_2xx: self.error_if_not_2xx,
        })
    }

    pub(super) fn limits(&self) -> Limits {
        let Seconds(time) = self.response_timeout.unwrap_or(Seconds(LONGEST));
        let MostBytes(size) = self
            .max_response_body_size
            .unwrap_or(MostBytes(Some(MOST_BYTES)));
        Limits {
            time,
            size: size.unwrap_or(usize::MAX),
        }
    }

    pub(super) async fn client(&self) -> Result<Client, InitError> {
        if self
            .mtls_renegotiation
            .is_some_and(|asked| asked != Renegotiation::Never)
        {
            warn!("mtlsRenegotiation has no effect: TLS is never renegotiated");
        }
        let tls = Tls {
            authorities: match &self.mtls_root_ca {
                Some(given) => Some(pem("mtlsRootCA", given).await?),
                None => None,
            },
            identity: self.identity().await?,
            ..Tls::default()
        };
        let client = Client::with_tls(&tls);
        client.map_err(|error| InitError::Invalid(format!("TLS of bindings.http: {error}")))
    }

    async fn identity(&self) -> Result<Option<Identity>, MetadataError> {
        let missing = |name: &str| Err(MetadataError::Missing(name.to_owned()));
        match (&self.mtls_client_cert, &self.mtls_client_key) {
            (Some(certificate), Some(key)) => Ok(Some(Identity {
                certificate: pem("mtlsClientCert", certificate).await?,
                key: pem("mtlsClientKey", key.expose()).await?,
            })),
            (None, None) => Ok(None),
            (Some(_), None) => missing("mtlsClientKey"),
            (None, Some(_)) => missing("mtlsClientCert"),
        }
    }
}

/// What is PEM is taken as such, however broken; anything else is the name of a file.
async fn pem(property: &str, given: &str) -> Result<Vec<u8>, MetadataError> {
    if given.contains("-----BEGIN") {
        return Ok(given.as_bytes().to_vec());
    }
    let read = authorities::in_file(Path::new(given)).await;
    read.map_err(|error| {
        // The value may be a key that somebody cut.
        let reason = format!("neither PEM nor a file that can be read: {}", error.reason);
        MetadataError::invalid(property, reason)
    })
}
