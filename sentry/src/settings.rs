//! What the mesh's Configuration says about certificates.

mod follow;

use std::{fs, io, path::Path, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use kube::{Api, Client};
use trilby_bootstrap::Latch;
use trilby_crds::{Configuration, ConfigurationSpec, MtlsSpec, SYSTEM_CONFIGURATION};
use trilby_go_syntax::parse_duration;
use trilby_grpc::Backoff;

use crate::{issuer::Validity, validator::JwksOptions};
pub(crate) use follow::Follower;

/// Upstream's life of a certificate.
pub(crate) const WORKLOAD_TTL: Duration = Duration::from_hours(24);

/// Upstream's tolerance for clocks that are behind.
const CLOCK_SKEW: Duration = Duration::from_mins(15);

/// The longest life that is granted: the issuer's own, more or less. Keeps dates in range.
const MAX_DURATION: Duration = Duration::from_hours(10 * 365 * 24);

/// How long the API server may take for one answer.
const API_TIMEOUT: Duration = Duration::from_secs(10);

/// The settings of the authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) validity: Validity,
    /// The validator that is configured beside those that the mode brings.
    pub(crate) jwks: Option<JwksOptions>,
    /// The control plane's trust domain as others read it: sentry itself has it from a flag.
    pub(crate) trust_domain: Option<String>,
}

/// Where the Configuration is.
pub(crate) enum Origin {
    /// Path of a YAML file.
    File(String),
    /// An object of the cluster.
    Object {
        api: Box<Api<Configuration>>,
        /// Namespace and name.
        name: String,
    },
}

impl Origin {
    pub(crate) fn object(client: &Client, namespace: &str, name: &str) -> Self {
        Self::Object {
            api: Box::new(Api::namespaced(client.clone(), namespace)),
            name: format!("{namespace}/{name}"),
        }
    }

    /// Reads it once.
    ///
    /// # Errors
    /// It cannot be read, or its settings cannot work.
    pub(crate) async fn read(&self) -> anyhow::Result<Settings> {
        match self {
            Self::File(path) => from_file(path),
            Self::Object { api, name } => {
                let spec = get(api, name).await.map_err(|reason| anyhow!(reason));
                spec.and_then(from_spec)
                    .with_context(|| format!("Configuration {name}"))
            }
        }
    }

    /// Reads it; waits while the API server is away or there is no such object, telling `latch` why.
    ///
    /// # Errors
    /// A file cannot be read, or its settings cannot work.
    pub(crate) async fn wait(&self, latch: &Latch) -> anyhow::Result<Settings> {
        let Self::Object { api, name } = self else {
            return self.read().await;
        };
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(10));
        loop {
            let reason = match get(api, name).await {
                Ok(spec) => {
                    return from_spec(spec).with_context(|| format!("Configuration {name}"));
                }
                Err(reason) => reason,
            };
            tracing::warn!(reason, "cannot read Configuration {name}, trying again");
            latch.unready(format!("waiting for Configuration {name}: {reason}"));
            tokio::time::sleep(backoff.pause()).await;
        }
    }
}

/// Asks for the object, or says why it is not there.
async fn get(api: &Api<Configuration>, name: &str) -> Result<ConfigurationSpec, String> {
    let (_, name) = name.split_once('/').unwrap_or(("", name));
    match tokio::time::timeout(API_TIMEOUT, api.get(name)).await {
        Ok(Ok(configuration)) => Ok(configuration.spec),
        // `helm install` makes its Deployments before the objects of its CRDs.
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
            Err("it does not exist; the chart creates it".to_owned())
        }
        Ok(Err(kube::Error::Api(status))) => Err(status.message),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_elapsed) => Err(format!("no answer within {}s", API_TIMEOUT.as_secs())),
    }
}

/// Reads a file. The default name may be absent, and stands for the defaults then.
fn from_file(path: &str) -> anyhow::Result<Settings> {
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
        jwks: validators(&mtls)?,
        trust_domain: Some(mtls.control_plane_trust_domain).filter(|name| !name.is_empty()),
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

/// The one kind that can be configured; of several the last counts, as upstream has it.
fn validators(mtls: &MtlsSpec) -> anyhow::Result<Option<JwksOptions>> {
    let mut jwks = None;
    for validator in &mtls.token_validators {
        match validator.name.to_ascii_lowercase().as_str() {
            "jwks" => {
                let options = JwksOptions::read(validator.options.as_ref())?;
                if jwks.replace(options).is_some() {
                    tracing::warn!(
                        "several token validators jwks are configured: the last one counts"
                    );
                }
            }
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
    Ok(jwks)
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
                "spec: {{mtls: {{tokenValidators: [{{name: {name}, options: {{source: x}}}}]}}}}"
            ))
        };
        assert_eq!(validators("JWKS").unwrap().jwks.unwrap().source, "x");
        let without = settings("spec: {mtls: {tokenValidators: [{name: jwks}]}}");
        let text = without.unwrap_err().to_string();
        assert_eq!(text, "token validator jwks: source is missing");
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
