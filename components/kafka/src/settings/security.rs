//! How brokers know us, and we them.

use krafka::auth::{AuthConfig, TlsConfig};
use trilby_components::metadata::MetadataError;

use super::{Settings, lower};

/// Credentials and TLS; `None` for neither.
///
/// # Errors
/// Something is missing or wrong, or a way that is not there.
pub(super) fn of(settings: &Settings) -> Result<Option<AuthConfig>, MetadataError> {
    let kind = kind(settings)?;
    let credentials = match kind.as_str() {
        "none" => return Ok(None),
        "password" => Some(password(settings)?),
        "mtls" if settings.disable_tls => {
            return Err(MetadataError::invalid("disableTls", "mtls needs TLS"));
        }
        "mtls" => None,
        "certificate" if settings.ca_cert.is_none() => {
            return Err(MetadataError::Missing("caCert".to_owned()));
        }
        "certificate" => None,
        "oidc" | "oidc_private_key_jwt" | "awsiam" => {
            return Err(MetadataError::invalid(
                "authType",
                format!("{kind} is not there yet"),
            ));
        }
        _ => {
            return Err(MetadataError::invalid(
                "authType",
                "it is none of none, password, mtls and certificate",
            ));
        }
    };
    if settings.disable_tls {
        return Ok(credentials);
    }
    let tls = tls(settings, kind == "mtls")?;
    Ok(Some(match credentials {
        Some(credentials) => credentials.with_tls(tls),
        None => AuthConfig::ssl(tls),
    }))
}

/// The kind of authentication, in lower case.
fn kind(settings: &Settings) -> Result<String, MetadataError> {
    let said = lower(settings.auth_type.as_deref());
    if !said.is_empty() {
        return Ok(said);
    }
    let Some(required) = settings.auth_required.as_deref() else {
        return Err(MetadataError::Missing("authType".to_owned()));
    };
    tracing::warn!("authRequired is deprecated: use authType");
    let required = trilby_go_syntax::parse_bool(required)
        .map_err(|_| MetadataError::invalid("authRequired", "it is neither true nor false"))?;
    Ok(match (required, &settings.sasl_password) {
        (false, _) => "none",
        (true, Some(_)) => "password",
        (true, None) => "mtls",
    }
    .to_owned())
}

fn password(settings: &Settings) -> Result<AuthConfig, MetadataError> {
    let missing = |name: &str| MetadataError::Missing(name.to_owned());
    let name = settings.sasl_username.as_deref();
    let name = name.ok_or_else(|| missing("saslUsername"))?;
    let password = settings.sasl_password.as_ref();
    let password = password.ok_or_else(|| missing("saslPassword"))?.expose();
    Ok(match settings.sasl_mechanism.as_deref() {
        Some("SHA-256") => AuthConfig::sasl_scram_sha256(name, password),
        Some("SHA-512") => AuthConfig::sasl_scram_sha512(name, password),
        _ => AuthConfig::sasl_plain(name, password),
    })
}

fn tls(settings: &Settings, with_certificate: bool) -> Result<TlsConfig, MetadataError> {
    let mut tls = match settings.skip_verify {
        true => TlsConfig::insecure(),
        false => TlsConfig::new(),
    };
    tls = match &settings.ca_cert {
        Some(ca) => tls.with_ca_cert_pem(pem("caCert", ca)?),
        None => tls.with_native_roots(),
    };
    if !with_certificate {
        return Ok(tls);
    }
    Ok(match (&settings.client_cert, &settings.client_key) {
        (Some(certificate), Some(key)) => tls.with_client_cert_pem(
            pem("clientCert", certificate)?,
            pem("clientKey", key.expose())?,
        ),
        (None, None) => tls,
        (Some(_), None) => return Err(MetadataError::Missing("clientKey".to_owned())),
        (None, Some(_)) => return Err(MetadataError::Missing("clientCert".to_owned())),
    })
}

fn pem(name: &str, text: &str) -> Result<Vec<u8>, MetadataError> {
    if text.contains("-----BEGIN ") {
        Ok(text.as_bytes().to_vec())
    } else {
        Err(MetadataError::invalid(name, "it is not PEM"))
    }
}
