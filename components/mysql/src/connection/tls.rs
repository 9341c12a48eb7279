//! TLS as the parameter `tls` asks for it.

use mysql_async::SslOpts;
use tracing::warn;
use trilby_components::metadata::MetadataError;
use trilby_https::Tls;

/// How the server proves itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// No TLS.
    Disabled,
    /// TLS if the server has it, whoever it is.
    Preferred,
    /// TLS, whoever the server is.
    Unverified,
    /// TLS, with a certificate of one of the system's authorities.
    System,
    /// TLS, with a certificate of one of those in `pemPath`.
    Custom,
}

/// What the driver is told; `None` for no TLS.
///
/// # Errors
/// The file cannot be read, or there are no authorities.
pub(super) fn options(mode: Mode, file: Option<&str>) -> Result<Option<SslOpts>, MetadataError> {
    if mode != Mode::Custom && file.is_some() {
        warn!("without tls=custom in connectionString, pemPath has no effect");
    }
    match mode {
        Mode::Disabled => Ok(None),
        // The driver wants to have authorities also where it does not ask them: its own will do.
        Mode::Preferred | Mode::Unverified => Ok(Some(
            SslOpts::default()
                .with_danger_accept_invalid_certs(true)
                .with_danger_skip_domain_validation(true),
        )),
        Mode::System => trusting(&Tls::default(), "connectionString").map(Some),
        Mode::Custom => {
            let file = file.ok_or_else(|| MetadataError::Missing("pemPath".to_owned()))?;
            let wrong = |error| MetadataError::invalid("pemPath", format!("{file}: {error}"));
            let pem = std::fs::read(file).map_err(wrong)?;
            let tls = Tls {
                authorities: Some(pem),
                ..Tls::default()
            };
            trusting(&tls, "pemPath").map(Some)
        }
    }
}

fn trusting(tls: &Tls, property: &str) -> Result<SslOpts, MetadataError> {
    let authorities = tls
        .trusted()
        .map_err(|error| MetadataError::invalid(property, error.to_string()))?;
    let authorities = authorities.into_iter().map(|one| one.to_vec().into());
    Ok(SslOpts::default()
        .with_root_certs(authorities.collect())
        .with_disable_built_in_roots(true))
}
