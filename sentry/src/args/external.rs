//! Flags about an authority outside that signs the issuer.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use trilby_go_syntax::GoDuration;

use super::Mode;
use crate::{
    external::{IssuerRef, Settings, Signer},
    source::SelfSigned,
};

/// The shortest life that Kubernetes lets a certificate be asked for.
const SHORTEST: u64 = 600;

/// Who signs the issuer certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CaSource {
    /// This authority, with a root of its own.
    SelfSigned,
    /// An issuer of cert-manager's.
    CertManager,
    /// A signer of Kubernetes' signing requests.
    CertificateSigningRequest,
}

/// An authority outside, if one is to sign the issuer.
#[derive(Debug, Clone, Args)]
pub struct ExternalArgs {
    /// Who signs the issuer certificate; whoever it is not sentry itself needs Kubernetes mode
    #[arg(long, value_enum, default_value_t = CaSource::SelfSigned)]
    ca_source: CaSource,
    /// Source cert-manager: name of the issuer
    #[arg(long)]
    ca_cert_manager_issuer: Option<String>,
    /// Source cert-manager: kind of the issuer
    #[arg(long, default_value = "Issuer")]
    ca_cert_manager_issuer_kind: String,
    /// Source cert-manager: API group of the issuer
    #[arg(long, default_value = "cert-manager.io")]
    ca_cert_manager_issuer_group: String,
    /// Source certificate-signing-request: name of the signer
    #[arg(long)]
    ca_signer_name: Option<String>,
    /// File with the roots that an issuer certificate from outside has to lead to; cert-manager may tell them itself
    #[arg(long)]
    ca_roots_file: Option<PathBuf>,
    /// How long a request may stay unanswered, or refused, before it is made again
    #[arg(long, default_value = "1h")]
    ca_request_timeout: GoDuration,
}

impl ExternalArgs {
    /// Whom to ask, if anybody; key and life of the issuer are as for one that is made here.
    pub(crate) fn settings(
        &self,
        mode: Mode,
        own: &SelfSigned,
    ) -> anyhow::Result<Option<Settings>> {
        self.refuse_useless()?;
        let signer = match self.ca_source {
            CaSource::SelfSigned => return Ok(None),
            CaSource::CertManager => self.cert_manager()?,
            CaSource::CertificateSigningRequest => self.signing_request(own)?,
        };
        ensure!(
            mode == Mode::Kubernetes,
            "--ca-source other than self-signed needs --mode kubernetes"
        );
        ensure!(
            !self.ca_request_timeout.0.is_zero(),
            "--ca-request-timeout has to be more than nothing"
        );
        Ok(Some(Settings {
            signer,
            roots: self.ca_roots_file.clone(),
            life: own.issuer_life,
            algorithm: own.algorithm,
            patience: self.ca_request_timeout.0,
        }))
    }

    /// What is given and would have no effect.
    fn refuse_useless(&self) -> anyhow::Result<()> {
        let source = self.ca_source;
        let own = source == CaSource::SelfSigned;
        for (given, useless, flag) in [
            (
                self.ca_cert_manager_issuer.is_some(),
                source != CaSource::CertManager,
                "--ca-cert-manager-issuer",
            ),
            (
                self.ca_signer_name.is_some(),
                source != CaSource::CertificateSigningRequest,
                "--ca-signer-name",
            ),
            (self.ca_roots_file.is_some(), own, "--ca-roots-file"),
        ] {
            ensure!(
                !(given && useless),
                "{flag} has no effect with this --ca-source"
            );
        }
        Ok(())
    }

    fn cert_manager(&self) -> anyhow::Result<Signer> {
        let name = required(&self.ca_cert_manager_issuer, "--ca-cert-manager-issuer")?;
        let (kind, group) = (
            &self.ca_cert_manager_issuer_kind,
            &self.ca_cert_manager_issuer_group,
        );
        ensure!(
            !kind.is_empty() && !group.is_empty(),
            "--ca-cert-manager-issuer-kind and --ca-cert-manager-issuer-group must not be empty"
        );
        Ok(Signer::CertManager(IssuerRef {
            name,
            kind: kind.clone(),
            group: group.clone(),
        }))
    }

    fn signing_request(&self, own: &SelfSigned) -> anyhow::Result<Signer> {
        let name = required(&self.ca_signer_name, "--ca-signer-name")?;
        ensure!(
            !name.starts_with("kubernetes.io/"),
            "--ca-signer-name {name}: Kubernetes' own signers never sign certificate authorities"
        );
        ensure!(
            self.ca_roots_file.is_some(),
            "--ca-source certificate-signing-request needs --ca-roots-file: its answers have no root"
        );
        ensure!(
            own.issuer_life.as_secs() >= SHORTEST,
            "--issuer-ttl: a signing request cannot ask for less than {SHORTEST}s"
        );
        Ok(Signer::SigningRequest(name))
    }
}

fn required(value: &Option<String>, flag: &str) -> anyhow::Result<String> {
    let value = value.clone().filter(|value| !value.is_empty());
    value.with_context(|| format!("this --ca-source needs {flag}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use trilby_bootstrap::args::parse_from;

    use super::*;

    fn settings(flags: &[&str]) -> Result<Option<Settings>, String> {
        let args: crate::Args = parse_from(["sentry"].iter().chain(flags)).unwrap();
        let own = args.authority.source().unwrap();
        let settings = args.external.settings(args.mode, &own);
        settings.map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn by_default_nobody_outside_is_asked() {
        assert_eq!(settings(&[]), Ok(None));
        assert_eq!(settings(&["--ca-source=self-signed"]), Ok(None));
    }

    #[test]
    fn an_issuer_of_cert_managers_is_named_in_full() {
        let asked = settings(&[
            "--mode=kubernetes",
            "--ca-source=cert-manager",
            "--ca-cert-manager-issuer=mesh",
            "--issuer-ttl=2160h",
        ]);
        let issuer = IssuerRef {
            name: "mesh".to_owned(),
            kind: "Issuer".to_owned(),
            group: "cert-manager.io".to_owned(),
        };
        let asked = asked.unwrap().unwrap();
        assert_eq!(asked.signer, Signer::CertManager(issuer));
        assert_eq!(asked.life, Duration::from_hours(2160));
        assert_eq!(asked.patience, Duration::from_hours(1));
        assert_eq!(asked.roots, None);
    }

    #[test]
    fn a_signer_is_named_together_with_its_roots() {
        let asked = settings(&[
            "--mode=kubernetes",
            "--ca-source=certificate-signing-request",
            "--ca-signer-name=example.com/mesh",
            "--ca-roots-file=/roots.pem",
            "--ca-request-timeout=5m",
        ]);
        let asked = asked.unwrap().unwrap();
        let signer = Signer::SigningRequest("example.com/mesh".to_owned());
        assert_eq!(asked.signer, signer);
        assert_eq!(asked.roots, Some("/roots.pem".into()));
        assert_eq!(asked.patience, Duration::from_mins(5));
    }

    #[test]
    fn what_is_incomplete_or_cannot_work_is_named() {
        let manager = "--ca-source=cert-manager";
        let request = "--ca-source=certificate-signing-request";
        let issuer = "--ca-cert-manager-issuer=mesh";
        let (signer, roots) = ("--ca-signer-name=example.com/mesh", "--ca-roots-file=/r");
        let kubernetes = "--mode=kubernetes";
        for (flags, expected) in [
            (
                &[manager][..],
                "this --ca-source needs --ca-cert-manager-issuer",
            ),
            (
                &[manager, "--ca-cert-manager-issuer="],
                "this --ca-source needs --ca-cert-manager-issuer",
            ),
            (
                &[manager, issuer],
                "--ca-source other than self-signed needs --mode kubernetes",
            ),
            (
                &[manager, issuer, "--ca-cert-manager-issuer-kind="],
                "--ca-cert-manager-issuer-kind and --ca-cert-manager-issuer-group must not be empty",
            ),
            (&[request], "this --ca-source needs --ca-signer-name"),
            (
                &[request, "--ca-signer-name=kubernetes.io/kubelet-serving"],
                "--ca-signer-name kubernetes.io/kubelet-serving: Kubernetes' own signers never sign certificate authorities",
            ),
            (
                &[request, signer],
                "--ca-source certificate-signing-request needs --ca-roots-file: its answers have no root",
            ),
            (
                &[request, signer, roots, "--issuer-ttl=5m"],
                "--issuer-ttl: a signing request cannot ask for less than 600s",
            ),
            (
                &[kubernetes, manager, issuer, "--ca-request-timeout=0s"],
                "--ca-request-timeout has to be more than nothing",
            ),
            (
                &[roots],
                "--ca-roots-file has no effect with this --ca-source",
            ),
            (
                &[manager, issuer, signer],
                "--ca-signer-name has no effect with this --ca-source",
            ),
            (
                &[issuer],
                "--ca-cert-manager-issuer has no effect with this --ca-source",
            ),
        ] {
            assert_eq!(settings(flags).unwrap_err(), expected, "{flags:?}");
        }
    }
}
