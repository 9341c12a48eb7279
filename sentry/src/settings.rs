//! What the mesh's Configuration says about certificates.

use std::{fs, io, path::Path, time::Duration};

use anyhow::{Context as _, bail};
use kube::{Api, Client};
use trilby_bootstrap::Latch;
use trilby_crds::{Configuration, ConfigurationSpec, MtlsSpec, SYSTEM_CONFIGURATION};
use trilby_go_syntax::parse_duration;
use trilby_grpc::Backoff;

use crate::issuer::Validity;

/// Upstream's life of a certificate.
const WORKLOAD_TTL: Duration = Duration::from_hours(24);

/// Upstream's tolerance for clocks that are behind.
const CLOCK_SKEW: Duration = Duration::from_mins(15);

/// The longest life that is granted: the issuer's own, more or less. Keeps dates in range.
const MAX_DURATION: Duration = Duration::from_hours(10 * 365 * 24);

/// How long the API server may take for one answer.
const API_TIMEOUT: Duration = Duration::from_secs(10);

/// The settings of the authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) validity: Validity,
    /// Whether validators are configured beside those that the mode brings.
    pub(crate) more_validators: bool,
}

/// Reads a file. The default name may be absent, and stands for the defaults then.
pub(crate) fn from_file(path: &str) -> anyhow::Result<Settings> {
    let text = match fs::read_to_string(Path::new(path)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && path == SYSTEM_CONFIGURATION => {
            tracing::info!("no Configuration given, the defaults hold");
            return from_spec(ConfigurationSpec::default());
        }
        Err(error) => return Err(error).with_context(|| format!("Configuration file {path:?}")),
    };
    let text = expand(&text, |name| std::env::var(name).ok());
    let configuration: Configuration = serde_saphyr::from_str(&text)
        .with_context(|| format!("Configuration file {path:?} is not a Configuration"))?;
    from_spec(configuration.spec).with_context(|| format!("Configuration file {path:?}"))
}

/// Reads the object; waits while the API server is away or there is no such object, telling `latch` why.
///
/// # Errors
/// Its settings cannot work.
pub(crate) async fn from_cluster(
    client: &Client,
    (namespace, name): (&str, &str),
    latch: &Latch,
) -> anyhow::Result<Settings> {
    let what = || format!("Configuration {namespace}/{name}");
    let api: Api<Configuration> = Api::namespaced(client.clone(), namespace);
    let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(10));
    loop {
        let reason = match tokio::time::timeout(API_TIMEOUT, api.get(name)).await {
            Ok(Ok(configuration)) => return from_spec(configuration.spec).with_context(what),
            // `helm install` makes its Deployments before the objects of its CRDs.
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
                "it does not exist; the chart creates it".to_owned()
            }
            Ok(Err(kube::Error::Api(status))) => status.message,
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => format!("no answer within {}s", API_TIMEOUT.as_secs()),
        };
        tracing::warn!(reason, "cannot read {}, trying again", what());
        latch.unready(format!("waiting for {}: {reason}", what()));
        tokio::time::sleep(backoff.pause()).await;
    }
}

fn from_spec(spec: ConfigurationSpec) -> anyhow::Result<Settings> {
    let mtls = spec.mtls.unwrap_or_default();
    Ok(Settings {
        validity: Validity {
            ttl: duration(
                "workloadCertTTL",
                mtls.workload_cert_ttl.as_deref(),
                WORKLOAD_TTL,
            )?,
            clock_skew: duration(
                "allowedClockSkew",
                mtls.allowed_clock_skew.as_deref(),
                CLOCK_SKEW,
            )?,
        },
        more_validators: check_validators(&mtls)?,
    })
}

fn duration(field: &str, text: Option<&str>, default: Duration) -> anyhow::Result<Duration> {
    let Some(text) = text else { return Ok(default) };
    let duration = parse_duration(text).with_context(|| format!("spec.mtls.{field}"))?;
    if duration > MAX_DURATION {
        bail!("spec.mtls.{field}: {text:?} is longer than ten years");
    }
    if field == "workloadCertTTL" && duration < Duration::from_secs(1) {
        bail!("spec.mtls.{field}: {text:?} is less than a second");
    }
    Ok(duration)
}

/// Refuses what upstream refuses; what is left is `jwks`, which is not built.
fn check_validators(mtls: &MtlsSpec) -> anyhow::Result<bool> {
    for validator in &mtls.token_validators {
        match validator.name.to_ascii_lowercase().as_str() {
            "jwks" => tracing::warn!(
                validator = "jwks",
                "token validator is not built yet: requests that name it are refused"
            ),
            "kubernetes" | "insecure" => bail!(
                "invalid token validator: the built-in 'kubernetes' and 'insecure' validators \
                 cannot be configured manually"
            ),
            _ => bail!(
                "invalid token validator name: '{}'; supported values: 'jwks'",
                validator.name
            ),
        }
    }
    Ok(!mtls.token_validators.is_empty())
}

/// Replaces `${NAME}` by the variable's value, or by nothing when it is unset.
fn expand(text: &str, env: impl Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        expanded.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            expanded.push_str("${");
            rest = after;
            continue;
        };
        expanded.push_str(&env(name).unwrap_or_default());
        rest = tail;
    }
    expanded + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(yaml: &str) -> anyhow::Result<Settings> {
        let configuration: Configuration = serde_saphyr::from_str(yaml)?;
        from_spec(configuration.spec)
    }

    #[test]
    fn durations_are_gos_with_upstreams_defaults() {
        let defaults = settings("spec: {}").unwrap();
        assert_eq!(defaults.validity.ttl, Duration::from_secs(86_400));
        assert_eq!(defaults.validity.clock_skew, Duration::from_secs(900));
        let given = settings("spec: {mtls: {workloadCertTTL: 1h30m, allowedClockSkew: 10s}}");
        let given = given.unwrap();
        assert_eq!(given.validity.ttl, Duration::from_secs(5400));
        assert_eq!(given.validity.clock_skew, Duration::from_secs(10));
    }

    #[test]
    fn durations_that_cannot_work_are_named() {
        for (yaml, part) in [
            ("workloadCertTTL: tomorrow", "spec.mtls.workloadCertTTL"),
            ("workloadCertTTL: 0s", "less than a second"),
            ("workloadCertTTL: -5s", "negative"),
            ("allowedClockSkew: 200000h", "ten years"),
        ] {
            let error = settings(&format!("spec: {{mtls: {{{yaml}}}}}")).unwrap_err();
            let text = format!("{error:#}");
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn only_jwks_may_be_configured() {
        let validators = |name: &str| {
            settings(&format!(
                "spec: {{mtls: {{tokenValidators: [{{name: {name}}}]}}}}"
            ))
        };
        assert!(validators("JWKS").unwrap().more_validators);
        let text = validators("insecure").unwrap_err().to_string();
        assert!(text.contains("cannot be configured manually"), "{text}");
        let text = validators("oracle").unwrap_err().to_string();
        assert_eq!(
            text,
            "invalid token validator name: 'oracle'; supported values: 'jwks'"
        );
    }

    #[test]
    fn variables_are_replaced() {
        let env = |name: &str| (name == "TTL").then(|| "1h".to_owned());
        assert_eq!(expand("a: ${TTL} ${NONE}${ $X", env), "a: 1h ${ $X");
    }

    #[test]
    fn a_missing_file_is_named_unless_it_is_the_default() {
        assert!(from_file(SYSTEM_CONFIGURATION).is_ok());
        let text = format!("{:#}", from_file("/nonexistent.yaml").unwrap_err());
        assert!(text.contains("/nonexistent.yaml"), "{text}");
    }
}
