//! Flags, as upstream spells them.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use trilby_bootstrap::{
    ServiceConfig,
    args::{HealthArgs, LogArgs, MetricsArgs, go_bool},
};

/// Issues the identities of the mesh
#[derive(Debug, Clone, Parser)]
#[command(name = "sentry", disable_version_flag = true)]
pub struct Args {
    /// Where this runs
    #[arg(long, value_enum, default_value_t = Mode::Standalone)]
    pub mode: Mode,
    /// Standalone: path of a YAML Configuration. Kubernetes: name of a Configuration
    #[arg(long, default_value = trilby_crds::SYSTEM_CONFIGURATION)]
    pub config: String,
    /// Trust domain of the control plane
    #[arg(long, default_value = "localhost")]
    pub trust_domain: String,
    /// Port of the gRPC API
    #[arg(long, default_value_t = 50001)]
    pub port: u16,
    /// Address the gRPC API listens on; empty: all
    #[arg(long, default_value = "")]
    pub listen_address: String,
    /// Directory of the certificate authority's files
    #[arg(long, default_value = "/var/run/secrets/dapr.io/credentials")]
    pub issuer_credentials: PathBuf,
    /// File with the trust anchors, in that directory unless absolute
    #[arg(long, default_value = "ca.crt")]
    pub issuer_ca_filename: PathBuf,
    /// File with the issuer certificate, in that directory unless absolute
    #[arg(long, default_value = "issuer.crt")]
    pub issuer_certificate_filename: PathBuf,
    /// File with the issuer key, in that directory unless absolute
    #[arg(long, default_value = "issuer.key")]
    pub issuer_key_filename: PathBuf,
    /// Path of a kubeconfig, for a process outside the cluster; by default ~/.kube/config
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// JWTs and OpenID Connect
    #[command(flatten)]
    pub jwt: JwtArgs,
    /// Health server
    #[command(flatten)]
    pub health: HealthArgs,
    /// Metrics server
    #[command(flatten)]
    pub metrics: MetricsArgs,
    /// Log
    #[command(flatten)]
    pub log: LogArgs,
}

/// Where the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// On a machine, with files.
    Standalone,
    /// In a pod, with API objects.
    Kubernetes,
}

/// Flags of the parts that issue JWTs, which are not built yet. They are accepted, and warned about.
#[derive(Debug, Clone, clap::Args)]
pub struct JwtArgs {
    /// Not built yet: issue JWTs beside certificates
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = go_bool)]
    jwt_enabled: Option<bool>,
    /// Not built yet: file with the key of JWTs
    #[arg(long)]
    jwt_key_filename: Option<String>,
    /// Not built yet: file with the public keys of JWTs
    #[arg(long)]
    jwks_filename: Option<String>,
    /// Not built yet: issuer claim of JWTs
    #[arg(long)]
    jwt_issuer: Option<String>,
    /// Not built yet: algorithm of JWTs
    #[arg(long)]
    jwt_signing_algorithm: Option<String>,
    /// Not built yet: key ID of JWTs
    #[arg(long)]
    jwt_key_id: Option<String>,
    /// Not built yet: life of JWTs
    #[arg(long)]
    jwt_ttl: Option<String>,
    /// Not built yet: serve OpenID Connect discovery
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = go_bool)]
    oidc_enabled: Option<bool>,
    /// Not built yet: port of OpenID Connect discovery
    #[arg(long)]
    oidc_server_listen_port: Option<u16>,
    /// Not built yet: address of OpenID Connect discovery
    #[arg(long)]
    oidc_server_listen_address: Option<String>,
    /// Not built yet: TLS for OpenID Connect discovery
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = go_bool)]
    oidc_server_tls_enabled: Option<bool>,
    /// Not built yet: certificate of OpenID Connect discovery
    #[arg(long)]
    oidc_server_tls_cert_file: Option<String>,
    /// Not built yet: key of OpenID Connect discovery
    #[arg(long)]
    oidc_server_tls_key_file: Option<String>,
    /// Not built yet: address of the public keys
    #[arg(long)]
    oidc_jwks_uri: Option<String>,
    /// Not built yet: path prefix of OpenID Connect discovery
    #[arg(long)]
    oidc_path_prefix: Option<String>,
    /// Not built yet: hosts that OpenID Connect discovery answers to
    #[arg(long)]
    oidc_allowed_hosts: Option<String>,
}

impl Args {
    /// What the process around the service is like.
    #[must_use]
    pub fn service(&self) -> ServiceConfig {
        ServiceConfig {
            log: self.log.clone(),
            health: Some(self.health.clone()),
            metrics: Some(self.metrics.clone()),
            ..ServiceConfig::new("sentry", self)
        }
    }
}

impl JwtArgs {
    /// Whether an issuer is named for JWTs that are off: a mistake, says upstream.
    pub(crate) fn issuer_without_jwt(&self) -> bool {
        let issuer = self.jwt_issuer.as_ref();
        issuer.is_some_and(|issuer| !issuer.is_empty()) && self.jwt_enabled != Some(true)
    }

    /// The flags that ask for something that is not built.
    pub(crate) fn without_effect(&self) -> impl Iterator<Item = &'static str> {
        let text = |flag: &Option<String>| flag.as_ref().is_some_and(|text| !text.is_empty());
        [
            ("jwt-enabled", self.jwt_enabled == Some(true)),
            ("jwt-key-filename", text(&self.jwt_key_filename)),
            ("jwks-filename", text(&self.jwks_filename)),
            ("jwt-issuer", text(&self.jwt_issuer)),
            ("jwt-signing-algorithm", text(&self.jwt_signing_algorithm)),
            ("jwt-key-id", text(&self.jwt_key_id)),
            ("jwt-ttl", text(&self.jwt_ttl)),
            ("oidc-enabled", self.oidc_enabled == Some(true)),
            (
                "oidc-server-listen-port",
                self.oidc_server_listen_port.is_some(),
            ),
            (
                "oidc-server-listen-address",
                text(&self.oidc_server_listen_address),
            ),
            (
                "oidc-server-tls-enabled",
                self.oidc_server_tls_enabled.is_some(),
            ),
            (
                "oidc-server-tls-cert-file",
                text(&self.oidc_server_tls_cert_file),
            ),
            (
                "oidc-server-tls-key-file",
                text(&self.oidc_server_tls_key_file),
            ),
            ("oidc-jwks-uri", text(&self.oidc_jwks_uri)),
            ("oidc-path-prefix", text(&self.oidc_path_prefix)),
            ("oidc-allowed-hosts", text(&self.oidc_allowed_hosts)),
        ]
        .into_iter()
        .filter_map(|(flag, given)| given.then_some(flag))
    }
}

#[cfg(test)]
mod tests {
    use trilby_bootstrap::args::parse_from;

    use super::*;

    #[test]
    fn upstreams_defaults_hold() {
        let args: Args = parse_from(["sentry"]).unwrap();
        assert_eq!(args.mode, Mode::Standalone);
        assert_eq!((args.port, args.config.as_str()), (50001, "daprsystem"));
        assert_eq!(args.trust_domain, "localhost");
        assert_eq!(args.jwt.without_effect().count(), 0);
    }

    #[test]
    fn what_the_chart_passes_is_accepted_and_what_is_not_built_is_named() {
        let args: Args = parse_from([
            "sentry",
            "-mode",
            "kubernetes",
            "--jwt-enabled=true",
            "--jwt-issuer=",
            "--jwt-signing-algorithm=RS256",
            "--oidc-enabled=false",
        ])
        .unwrap();
        assert_eq!(args.mode, Mode::Kubernetes);
        let named: Vec<_> = args.jwt.without_effect().collect();
        assert_eq!(named, ["jwt-enabled", "jwt-signing-algorithm"]);
        assert!(parse_from::<Args>(["sentry", "--mode", "podman"]).is_err());
        assert!(parse_from::<Args>(["sentry", "--no-such-flag"]).is_err());
    }

    #[test]
    fn an_issuer_of_jwts_needs_jwts() {
        let check = |flags: &[&str], expected| {
            let args: Args = parse_from(["sentry"].iter().chain(flags)).unwrap();
            assert_eq!(args.jwt.issuer_without_jwt(), expected);
        };
        check(&["--jwt-issuer=https://x"], true);
        check(&["--jwt-issuer=https://x", "--jwt-enabled"], false);
        check(&["--jwt-issuer="], false);
    }
}
