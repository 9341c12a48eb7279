//! Flags, as upstream spells them.

mod authority;
mod external;
mod tokens;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use trilby_bootstrap::{
    ServiceConfig,
    args::{HealthArgs, LogArgs, MetricsArgs, go_bool},
};

pub use authority::AuthorityArgs;
pub use external::{CaSource, ExternalArgs};
pub use tokens::{JwtArgs, OidcArgs};

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
    /// In standalone mode without token validators, give identities of the control plane to callers on this machine alone
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "false", value_parser = go_bool)]
    pub insecure_local_control_plane: bool,
    /// Certificates that one identity may ask for from one address in a minute, on average; 0 does not bound it
    #[arg(long, default_value_t = 600)]
    pub max_requests_per_identity: u32,
    /// What a certificate authority that is made here is like
    #[command(flatten)]
    pub authority: AuthorityArgs,
    /// An authority outside that signs the issuer
    #[command(flatten)]
    pub external: ExternalArgs,
    /// Tokens
    #[command(flatten)]
    pub jwt: JwtArgs,
    /// OpenID Connect discovery
    #[command(flatten)]
    pub oidc: OidcArgs,
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
        assert!(!args.insecure_local_control_plane);
    }

    #[test]
    fn modes_and_flags_that_do_not_exist_are_refused() {
        let args: Args = parse_from(["sentry", "-mode", "kubernetes"]).unwrap();
        assert_eq!(args.mode, Mode::Kubernetes);
        assert!(parse_from::<Args>(["sentry", "--mode", "podman"]).is_err());
        assert!(parse_from::<Args>(["sentry", "--no-such-flag"]).is_err());
    }
}
