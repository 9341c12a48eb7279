//! Follows changes of the Configuration while the process runs.
//!
//! How long certificates hold takes effect at once. What only a start can change is reported, and so is a Configuration
//! that cannot be used: then the one before stays in force.

use std::{convert::Infallible, time::Duration};

use tokio::sync::watch;
use trilby_identity::TrustDomain;

use super::{Origin, Settings};
use crate::{issuer::Validity, metrics::Metrics};

/// How often it is looked at.
const POLL: Duration = Duration::from_secs(5);

/// See the module.
pub(crate) struct Follower {
    pub(crate) origin: Origin,
    /// The settings that the process started with, then the ones in force.
    pub(crate) settings: Settings,
    /// The control plane's trust domain, by the flag.
    pub(crate) trust_domain: TrustDomain,
    pub(crate) validity: watch::Sender<Validity>,
    pub(crate) metrics: Metrics,
}

impl Follower {
    /// Follows for ever.
    ///
    /// # Cancel safety
    /// May be dropped at any await.
    pub(crate) async fn run(mut self) -> Infallible {
        let mut complaint = String::new();
        self.metrics.configuration_usable(true);
        self.report_trust_domain();
        loop {
            tokio::time::sleep(POLL).await;
            let read = self.origin.read().await;
            self.metrics.configuration_usable(read.is_ok());
            match read {
                Ok(settings) => {
                    complaint.clear();
                    self.adopt(settings);
                }
                Err(error) => {
                    let text = format!("{error:#}");
                    if text != complaint {
                        tracing::error!(
                            error = text,
                            "the Configuration cannot be used, the one before stays in force"
                        );
                        complaint = text;
                    }
                }
            }
        }
    }

    fn adopt(&mut self, settings: Settings) {
        let before = std::mem::replace(&mut self.settings, settings);
        let Settings {
            validity,
            jwks,
            trust_domain,
        } = &self.settings;
        if *validity != before.validity {
            self.validity.send_replace(*validity);
            let (ttl, skew) = (validity.ttl.as_secs(), validity.clock_skew.as_secs());
            tracing::info!(ttl, skew, "certificates hold for another time from now on");
        }
        if *jwks != before.jwks {
            tracing::warn!(
                "spec.mtls.tokenValidators changed: that takes effect when sentry starts again"
            );
        }
        if *trust_domain != before.trust_domain {
            self.report_trust_domain();
        }
    }

    /// Others take the trust domain from the Configuration, sentry from its flag: if they differ, nobody gets through.
    fn report_trust_domain(&self) {
        let flag = self.trust_domain.as_str();
        match self.settings.trust_domain.as_deref() {
            Some(configured) if configured != flag => tracing::warn!(
                configured,
                flag,
                "spec.mtls.controlPlaneTrustDomain differs from --trust-domain, which is in force here"
            ),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use prometheus::Registry;

    use super::*;

    fn text(registry: &Registry, name: &str) -> Option<f64> {
        let families = registry.gather();
        let family = families.iter().find(|family| family.name() == name)?;
        Some(family.get_metric()[0].get_gauge().get_value())
    }

    #[tokio::test(start_paused = true)]
    async fn lifetimes_take_effect_and_a_broken_file_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.yaml");
        let write = |mtls: &str| fs::write(&path, format!("spec: {{mtls: {mtls}}}")).unwrap();
        write("{workloadCertTTL: 1h}");
        let origin = Origin::File(path.display().to_string());
        let settings = origin.read().await.unwrap();
        let (validity, mut current) = watch::channel(settings.validity);
        let registry = Registry::new();
        let follower = Follower {
            origin,
            settings,
            trust_domain: TrustDomain::public(),
            validity,
            metrics: Metrics::register(&registry).unwrap(),
        };
        let usable = || text(&registry, "dapr_sentry_configuration_usable");
        let steps = async {
            write("{workloadCertTTL: 2h, allowedClockSkew: 1m, controlPlaneTrustDomain: other}");
            current.changed().await.unwrap();
            let hours_2 = Duration::from_hours(2);
            assert_eq!(current.borrow().ttl, hours_2);
            assert_eq!(current.borrow().clock_skew, Duration::from_mins(1));
            assert_eq!(usable(), Some(1.0));
            for broken in ["{workloadCertTTL: soon}", "{{{"] {
                write(broken);
                tokio::time::sleep(2 * POLL).await;
                assert_eq!(current.borrow().ttl, hours_2);
                assert_eq!(usable(), Some(0.0));
            }
            write("{workloadCertTTL: 3h}");
            current.changed().await.unwrap();
            assert_eq!(current.borrow().ttl, Duration::from_hours(3));
        };
        tokio::select! {
            _ = follower.run() => {}
            () = steps => {}
        }
    }
}
