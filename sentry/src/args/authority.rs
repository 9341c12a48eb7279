//! Flags about the authority that sentry makes.

use anyhow::ensure;
use clap::Args;
use trilby_go_syntax::GoDuration;

use crate::source::{KeyAlgorithm, SelfSigned};

/// What a certificate authority that is made here is like.
#[derive(Debug, Clone, Args)]
pub struct AuthorityArgs {
    /// How long a root certificate made here lives
    #[arg(long, default_value = "87600h")]
    ca_ttl: GoDuration,
    /// How long an issuer certificate made here lives; it is renewed at two thirds of that
    #[arg(long, default_value = "8760h")]
    issuer_ttl: GoDuration,
    /// What keys root and issuer have
    #[arg(long, value_enum, default_value_t = KeyAlgorithm::Ed25519)]
    ca_key_algorithm: KeyAlgorithm,
}

impl AuthorityArgs {
    pub(crate) fn source(&self) -> anyhow::Result<SelfSigned> {
        ensure!(!self.ca_ttl.0.is_zero(), "--ca-ttl must not be zero");
        ensure!(
            !self.issuer_ttl.0.is_zero(),
            "--issuer-ttl must not be zero"
        );
        Ok(SelfSigned {
            root_life: self.ca_ttl.0,
            issuer_life: self.issuer_ttl.0,
            algorithm: self.ca_key_algorithm,
        })
    }
}
