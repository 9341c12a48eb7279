//! TLS as `sslmode` and its neighbours ask for it.

use std::path::Path;

use rustls::ClientConfig;
use trilby_components::metadata::MetadataError;
use trilby_https::{Identity, TlsError, Verification};

/// How sure the client wants to be of its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// No TLS.
    Disable,
    /// TLS if the server has it, whoever it is.
    Prefer,
    /// TLS, whoever the server is.
    Require,
    /// TLS, with a certificate of an authority that is trusted, for any name.
    VerifyCa,
    /// As [`Mode::VerifyCa`], for the server's name.
    VerifyFull,
}

/// What is asked of TLS. Files are PEM.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) mode: Mode,
    /// The file of the authorities that are trusted; `None` for the system's.
    pub(super) authorities: Option<String>,
    /// The file of the client's certificate.
    pub(super) certificate: Option<String>,
    /// The file of its key.
    pub(super) key: Option<String>,
}

impl Tls {
    /// What rustls is to do.
    ///
    /// # Errors
    /// A file cannot be read, or has not what it should.
    pub(super) fn config(&self) -> Result<ClientConfig, MetadataError> {
        let verification = match self.mode {
            Mode::Disable | Mode::Prefer | Mode::Require => Verification::Nothing,
            Mode::VerifyCa => Verification::AnyName,
            Mode::VerifyFull => Verification::Full,
        };
        let authorities = match &self.authorities {
            Some(file) if verification != Verification::Nothing => Some(read("sslrootcert", file)?),
            _ => None,
        };
        let tls = trilby_https::Tls {
            authorities,
            identity: self.identity()?,
            verification,
            server_name: None,
        };
        tls.config().map_err(|error| {
            let parameter = match error {
                TlsError::Certificate | TlsError::Pair(_) => "sslcert",
                TlsError::Key => "sslkey",
                TlsError::Authorities | TlsError::System | TlsError::ServerName(_) => "sslrootcert",
            };
            wrong(parameter, &error.to_string())
        })
    }

    /// What the server is shown.
    fn identity(&self) -> Result<Option<Identity>, MetadataError> {
        match (&self.certificate, &self.key) {
            _ if self.mode == Mode::Disable => Ok(None),
            (None, None) => Ok(None),
            (Some(_), None) => Err(wrong("sslkey", "sslcert needs it")),
            (None, Some(_)) => Err(wrong("sslcert", "sslkey needs it")),
            (Some(certificate), Some(key)) => Ok(Some(Identity {
                certificate: read("sslcert", certificate)?,
                key: read("sslkey", key)?,
            })),
        }
    }
}

/// Small files, read once, while the component starts.
fn read(what: &str, file: &str) -> Result<Vec<u8>, MetadataError> {
    let read = std::fs::read(Path::new(file));
    read.map_err(|error| wrong(what, &format!("{file}: {error}")))
}

fn wrong(parameter: &str, reason: &str) -> MetadataError {
    MetadataError::invalid(
        "connectionString",
        format!("parameter {parameter}: {reason}"),
    )
}
