//! The control plane's own settings, read once at start.

use std::time::Duration;

use anyhow::Context;
use kube::{Api, Client};
use trilby_bootstrap::Latch;
use trilby_crds::{ConfigurationSpec, SYSTEM_CONFIGURATION};
use trilby_grpc::Backoff;
use trilby_identity::TrustDomain;

use crate::{
    cluster::reason,
    resource::{Document, Kind},
    watch,
};

/// One request for the settings.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Whether apps talk to each other over mutual TLS. The control plane always does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppTls {
    Mutual,
    Off,
}

/// What the operator takes from the system Configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub app_tls: AppTls,
    pub trust_domain: TrustDomain,
    pub sentry_address: String,
}

/// Reads the settings; waits for as long as the API server is away or the Configuration is not there yet, telling
/// `latch` why.
///
/// # Errors
/// Settings that cannot work.
pub(crate) async fn wait_for(
    client: &Client,
    namespace: &str,
    name: &str,
    latch: &Latch,
) -> anyhow::Result<Settings> {
    let resource = watch::resource(Kind::Configuration);
    let api: Api<Document> = Api::namespaced_with(client.clone(), namespace, &resource);
    let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
    loop {
        let reason = match tokio::time::timeout(TIMEOUT, api.get(name)).await {
            Ok(Ok(document)) => {
                return decode(document.text())
                    .with_context(|| format!("Configuration {namespace}/{name}"));
            }
            Ok(Err(error)) => reason(&error),
            Err(_elapsed) => format!("no answer within {TIMEOUT:?}"),
        };
        latch.unready(format!(
            "waiting for Configuration {namespace}/{name}: {reason}"
        ));
        tokio::time::sleep(backoff.pause()).await;
    }
}

fn decode(text: &str) -> anyhow::Result<Settings> {
    let configuration: trilby_crds::Configuration = serde_json::from_str(text)?;
    from_spec(configuration.spec)
}

fn from_spec(spec: ConfigurationSpec) -> anyhow::Result<Settings> {
    let mtls = spec.mtls.with_context(|| {
        format!("spec.mtls is missing (the chart's {SYSTEM_CONFIGURATION} has it)")
    })?;
    anyhow::ensure!(
        !mtls.control_plane_trust_domain.is_empty(),
        "spec.mtls.controlPlaneTrustDomain must not be empty"
    );
    anyhow::ensure!(
        !mtls.sentry_address.is_empty(),
        "spec.mtls.sentryAddress must not be empty"
    );
    Ok(Settings {
        app_tls: match mtls.enabled {
            Some(false) => AppTls::Off,
            _ => AppTls::Mutual,
        },
        trust_domain: TrustDomain::parse(&mtls.control_plane_trust_domain)
            .context("spec.mtls.controlPlaneTrustDomain")?,
        sentry_address: mtls.sentry_address,
    })
}

#[cfg(test)]
mod tests {
    use super::{AppTls, decode};

    #[test]
    fn mutual_tls_is_on_unless_it_is_off() {
        for (enabled, expected) in [
            ("true", AppTls::Mutual),
            ("null", AppTls::Mutual),
            ("false", AppTls::Off),
        ] {
            let text = format!(
                r#"{{"spec":{{"mtls":{{"enabled":{enabled},"controlPlaneTrustDomain":"cluster.local","sentryAddress":"sentry:443"}}}}}}"#
            );
            assert_eq!(decode(&text).unwrap().app_tls, expected);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, missing) in [
            (r#"{"spec":{}}"#, "spec.mtls is missing"),
            (
                r#"{"spec":{"mtls":{"sentryAddress":"s:443"}}}"#,
                "controlPlaneTrustDomain must not be empty",
            ),
            (
                r#"{"spec":{"mtls":{"controlPlaneTrustDomain":"td"}}}"#,
                "sentryAddress must not be empty",
            ),
        ] {
            let error = decode(text).unwrap_err().to_string();
            assert!(error.contains(missing), "{error}");
        }
    }
}
