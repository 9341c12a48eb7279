//! Flags of tokens, and of the server that publishes the keys which verify them.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use trilby_bootstrap::args::go_bool;
use trilby_go_syntax::GoDuration;

use crate::{
    oidc::{CertificateFiles, OidcSettings},
    tokens::TokenSettings,
};

/// Tokens beside certificates.
#[derive(Debug, Clone, clap::Args)]
pub struct JwtArgs {
    /// Issue JWTs beside certificates
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "false", value_parser = go_bool)]
    pub jwt_enabled: bool,
    /// File with the key of JWTs, in the directory of the authority unless absolute
    #[arg(long, default_value = "jwt.key")]
    pub jwt_key_filename: PathBuf,
    /// File with the public keys of JWTs, in the directory of the authority unless absolute
    #[arg(long, default_value = "jwks.json")]
    pub jwks_filename: PathBuf,
    /// Issuer claim of JWTs; without it they have none
    #[arg(long)]
    jwt_issuer: Option<String>,
    /// Algorithm of JWTs, which has to fit their key
    #[arg(long, default_value = "RS256")]
    jwt_signing_algorithm: String,
    /// Key ID of JWTs, by default as the set of public keys has it
    #[arg(long)]
    jwt_key_id: Option<String>,
    /// Life of JWTs
    #[arg(long, default_value = "24h")]
    jwt_ttl: GoDuration,
}

/// Where the keys of tokens are published.
#[derive(Debug, Clone, clap::Args)]
pub struct OidcArgs {
    /// Serve OpenID Connect discovery, if JWTs are issued
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "false", value_parser = go_bool)]
    oidc_enabled: bool,
    /// Port of OpenID Connect discovery
    #[arg(long, default_value_t = 9080)]
    pub oidc_server_listen_port: u16,
    /// Address OpenID Connect discovery listens on; empty: all
    #[arg(long, default_value = "localhost")]
    pub oidc_server_listen_address: String,
    /// Serve OpenID Connect discovery with TLS
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "true", value_parser = go_bool)]
    oidc_server_tls_enabled: bool,
    /// Certificate of OpenID Connect discovery
    #[arg(long)]
    oidc_server_tls_cert_file: Option<PathBuf>,
    /// Key of OpenID Connect discovery
    #[arg(long)]
    oidc_server_tls_key_file: Option<PathBuf>,
    /// Where others find the public keys, if not here
    #[arg(long)]
    oidc_jwks_uri: Option<String>,
    /// Path before those of OpenID Connect discovery
    #[arg(long)]
    oidc_path_prefix: Option<String>,
    /// Hosts that OpenID Connect discovery answers to, separated by commas; by default all
    #[arg(long, value_delimiter = ',')]
    oidc_allowed_hosts: Vec<String>,
}

impl JwtArgs {
    /// How tokens are issued; `None` if they are not.
    ///
    /// # Errors
    /// Settings that cannot work.
    pub(crate) fn settings(&self) -> anyhow::Result<Option<TokenSettings>> {
        let issuer = self.jwt_issuer.clone().filter(|issuer| !issuer.is_empty());
        ensure!(
            self.jwt_enabled || issuer.is_none(),
            "jwt-issuer cannot be set when jwt-enabled is false"
        );
        if !self.jwt_enabled {
            return Ok(None);
        }
        let algorithm = self.jwt_signing_algorithm.parse();
        ensure!(
            !self.jwt_ttl.0.is_zero(),
            "--jwt-ttl has to be more than nothing"
        );
        Ok(Some(TokenSettings {
            algorithm: algorithm.context("--jwt-signing-algorithm")?,
            key_id: self.jwt_key_id.clone().filter(|id| !id.is_empty()),
            issuer,
            ttl: self.jwt_ttl.0,
        }))
    }
}

impl OidcArgs {
    /// How discovery is served; `None` if it is not. `tokens` is what it is about.
    ///
    /// # Errors
    /// Settings that cannot work.
    pub(crate) fn settings(
        &self,
        tokens: Option<&TokenSettings>,
    ) -> anyhow::Result<Option<OidcSettings>> {
        let certificate = self.certificate()?;
        if !self.oidc_enabled {
            return Ok(None);
        }
        let Some(tokens) = tokens else {
            tracing::warn!("--oidc-enabled has no effect without --jwt-enabled");
            return Ok(None);
        };
        let non_empty = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Ok(Some(OidcSettings {
            issuer: tokens.issuer.clone(),
            jwks_uri: non_empty(&self.oidc_jwks_uri),
            path_prefix: non_empty(&self.oidc_path_prefix),
            allowed_hosts: self.oidc_allowed_hosts.clone(),
            certificate,
        }))
    }

    fn certificate(&self) -> anyhow::Result<Option<CertificateFiles>> {
        let with_tls = self.oidc_enabled && self.oidc_server_tls_enabled;
        let given =
            |file: &Option<PathBuf>| file.clone().filter(|file| !file.as_os_str().is_empty());
        let unless = "is required when OIDC HTTP server is enabled (unless oidc-server-tls-enabled is false)";
        match (
            given(&self.oidc_server_tls_cert_file),
            given(&self.oidc_server_tls_key_file),
        ) {
            (Some(certificate), Some(key)) if self.oidc_server_tls_enabled => {
                Ok(Some(CertificateFiles { certificate, key }))
            }
            (Some(_), Some(_)) => {
                tracing::warn!(
                    "certificate and key of the OIDC HTTP server have no effect: oidc-server-tls-enabled is false"
                );
                Ok(None)
            }
            (None, _) if with_tls => anyhow::bail!("oidc-server-tls-cert-file {unless}"),
            (Some(_), None) if with_tls => anyhow::bail!("oidc-server-tls-key-file {unless}"),
            (None, None) => Ok(None),
            _ => anyhow::bail!(
                "both OIDC TLS certificate and key must be provided if one is specified"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use trilby_bootstrap::args::parse_from;

    use super::*;
    use crate::Args;

    type Both = (Option<TokenSettings>, Option<OidcSettings>);

    fn settings(flags: &[&str]) -> Result<Both, String> {
        let args: Args = parse_from(["sentry"].iter().chain(flags)).unwrap();
        let tokens = args.jwt.settings().map_err(|error| format!("{error:#}"))?;
        let oidc = args.oidc.settings(tokens.as_ref());
        Ok((tokens, oidc.map_err(|error| format!("{error:#}"))?))
    }

    #[test]
    fn upstreams_defaults_hold() {
        assert_eq!(settings(&[]), Ok((None, None)));
        let (tokens, oidc) = settings(&["--jwt-enabled"]).unwrap();
        let tokens = tokens.unwrap();
        assert_eq!(tokens.algorithm.name(), "RS256");
        assert_eq!(
            (tokens.ttl, tokens.issuer, tokens.key_id),
            (Duration::from_hours(24), None, None)
        );
        assert_eq!(oidc, None);
        let args: Args = parse_from(["sentry"]).unwrap();
        assert_eq!(args.oidc.oidc_server_listen_port, 9080);
        assert_eq!(args.oidc.oidc_server_listen_address, "localhost");
        assert_eq!(
            settings(&["--oidc-enabled", "--oidc-server-tls-enabled=false"]),
            Ok((None, None))
        );
    }

    #[test]
    fn what_the_chart_passes_is_read() {
        let (tokens, oidc) = settings(&[
            "--jwt-enabled=true",
            "--jwt-issuer=https://issuer",
            "--jwt-signing-algorithm=ES384",
            "--jwt-key-id=mine",
            "--jwt-ttl=90m",
            "--oidc-enabled=true",
            "--oidc-server-tls-cert-file=/c",
            "--oidc-server-tls-key-file=/k",
            "--oidc-jwks-uri=https://cdn/keys",
            "--oidc-path-prefix=/p",
            "--oidc-allowed-hosts=a,b",
            "--oidc-server-tls-enabled=true",
        ])
        .unwrap();
        let tokens = tokens.unwrap();
        assert_eq!(
            (tokens.algorithm.name(), tokens.ttl),
            ("ES384", Duration::from_mins(90))
        );
        assert_eq!(tokens.key_id.as_deref(), Some("mine"));
        let files = CertificateFiles {
            certificate: "/c".into(),
            key: "/k".into(),
        };
        let expected = OidcSettings {
            issuer: Some("https://issuer".to_owned()),
            jwks_uri: Some("https://cdn/keys".to_owned()),
            path_prefix: Some("/p".to_owned()),
            allowed_hosts: vec!["a".to_owned(), "b".to_owned()],
            certificate: Some(files),
        };
        assert_eq!(oidc, Some(expected));
    }

    #[test]
    fn what_cannot_work_is_named_in_upstreams_words() {
        for (flags, expected) in [
            (
                &["--jwt-issuer=https://x"][..],
                "jwt-issuer cannot be set when jwt-enabled is false",
            ),
            (
                &["--jwt-enabled", "--jwt-signing-algorithm=HS256"],
                "--jwt-signing-algorithm: unsupported signature algorithm: HS256",
            ),
            (
                &["--jwt-enabled", "--jwt-ttl=0s"],
                "--jwt-ttl has to be more than nothing",
            ),
            (
                &["--jwt-enabled", "--oidc-enabled"],
                "oidc-server-tls-cert-file is required when OIDC HTTP server is enabled (unless oidc-server-tls-enabled is false)",
            ),
            (
                &["--oidc-enabled", "--oidc-server-tls-cert-file=/c"],
                "oidc-server-tls-key-file is required when OIDC HTTP server is enabled (unless oidc-server-tls-enabled is false)",
            ),
            (
                &["--oidc-server-tls-key-file=/k"],
                "both OIDC TLS certificate and key must be provided if one is specified",
            ),
        ] {
            assert_eq!(settings(flags).unwrap_err(), expected);
        }
        assert!(settings(&["--jwt-issuer="]).is_ok());
    }
}
