//! What `spec.tracing` and the `OTEL_*` environment ask for together.

use std::collections::HashMap;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use trilby_crds::{NameValuePair, OtelSpec, TracingSpec};
use trilby_go_syntax::parse_duration;

use crate::resource::percent_decoded;
use crate::sampler::rate;

/// The variables that tracing reads.
pub const VARIABLES: &[&str] = &[
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_INSECURE",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
];

/// How long one export may take, as OpenTelemetry's libraries have it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The environment's part, read once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables(HashMap<&'static str, String>);

/// What tracing is to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The share of traces that begin here and are recorded; zero switches tracing off.
    pub(crate) rate: f64,
    /// Whether a rate was given: then contexts are made even if nobody takes the spans.
    pub(crate) rate_given: bool,
    pub(crate) stdout: bool,
    pub(crate) zipkin: Option<String>,
    pub(crate) otlp: Option<Otlp>,
    pub(crate) batching: Batching,
}

/// Export over OTLP.
#[derive(Clone, PartialEq)]
pub(crate) struct Otlp {
    pub(crate) protocol: Protocol,
    pub(crate) endpoint: String,
    pub(crate) secure: bool,
    pub(crate) headers: HeaderMap,
    pub(crate) timeout: Duration,
    /// A file of trust anchors that replace the system's.
    pub(crate) certificate: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    Http,
}

/// How spans are gathered, by the names and defaults of OpenTelemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batching {
    pub(crate) delay: Duration,
    pub(crate) queue: usize,
    pub(crate) batch: usize,
}

/// Settings that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// Neither `grpc` nor `http`.
    #[error("invalid protocol {0} provided for Otel endpoint")]
    Protocol(String),
    /// The timeout is no duration.
    #[error("otel.timeout {0:?} is not a duration")]
    Timeout(String),
    /// A variable that is no number.
    #[error("environment variable {name} is {value:?}: it is not a number of milliseconds")]
    Number {
        /// Its name.
        name: &'static str,
        /// What it holds.
        value: String,
    },
    /// A header that cannot be sent. The value is not shown: it may be a secret.
    #[error("otel header {0:?} cannot be sent")]
    Header(String),
    /// Headers of the environment without a value.
    #[error("{0} is not a list of name=value pairs")]
    HeaderList(&'static str),
}

// === impl Variables ===

impl Variables {
    /// Reads [`VARIABLES`] through `get`, which tests replace. An empty one counts as unset.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let given = |name: &&'static str| {
            let value = get(name).filter(|value| !value.is_empty())?;
            Some((*name, value))
        };
        Self(VARIABLES.iter().filter_map(given).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The first that is set, with its name.
    fn first(&self, names: [&'static str; 2]) -> Option<(&'static str, &str)> {
        names
            .into_iter()
            .find_map(|name| Some((name, self.get(name)?)))
    }

    fn milliseconds(&self, names: [&'static str; 2]) -> Result<Option<Duration>, InvalidSettings> {
        let Some((name, value)) = self.first(names) else {
            return Ok(None);
        };
        let invalid = |_| InvalidSettings::Number {
            name,
            value: value.to_owned(),
        };
        let milliseconds: i64 = value.parse().map_err(invalid)?;
        let given = u64::try_from(milliseconds).ok().filter(|given| *given > 0);
        Ok(given.map(Duration::from_millis))
    }
}

/// Names only: headers hold secrets.
impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl std::fmt::Debug for Otlp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Otlp")
            .field("protocol", &self.protocol)
            .field("endpoint", &self.endpoint)
            .field("secure", &self.secure)
            .finish_non_exhaustive()
    }
}

// === impl Settings ===

impl Settings {
    /// What a Configuration's `spec.tracing` asks for, with the environment's part.
    ///
    /// # Errors
    /// A value cannot be used; it is named.
    pub fn new(spec: Option<&TracingSpec>, variables: &Variables) -> Result<Self, InvalidSettings> {
        let none = TracingSpec::default();
        let spec = spec.unwrap_or(&none);
        let configured = spec
            .otel
            .as_ref()
            .filter(|otel| !otel.endpoint_address.is_empty());
        let otlp = match configured {
            Some(otel) => configured_otlp(otel, variables)?,
            None => otlp_of_environment(spec.otel.as_ref(), variables)?,
        };
        let from_environment = configured.is_none() && otlp.is_some();
        let sampling = match spec.sampling_rate.as_str() {
            "" if from_environment => "1",
            given => given,
        };
        let zipkin = spec
            .zipkin
            .as_ref()
            .map(|zipkin| zipkin.endpoint_address.clone());
        Ok(Self {
            rate: rate(sampling),
            rate_given: !sampling.is_empty(),
            stdout: spec.stdout.unwrap_or(false),
            zipkin: zipkin.filter(|address| !address.is_empty()),
            otlp,
            batching: Batching::of(variables)?,
        })
    }
}

/// An endpoint of the Configuration is taken as it is; the environment plays no part.
fn configured_otlp(
    otel: &OtelSpec,
    variables: &Variables,
) -> Result<Option<Otlp>, InvalidSettings> {
    let protocol = match otel.protocol.as_str() {
        "grpc" => Protocol::Grpc,
        "http" => Protocol::Http,
        "" => {
            tracing::warn!("tracing.otel names no protocol: no spans are exported over OTLP");
            return Ok(None);
        }
        other => return Err(InvalidSettings::Protocol(other.to_owned())),
    };
    Ok(Some(Otlp {
        protocol,
        endpoint: without_scheme(&otel.endpoint_address).to_owned(),
        secure: otel.is_secure.unwrap_or(true),
        headers: headers_of(&otel.headers)?,
        timeout: timeout_of(otel)?.unwrap_or(TIMEOUT),
        certificate: certificate(variables),
    }))
}

fn otlp_of_environment(
    otel: Option<&OtelSpec>,
    variables: &Variables,
) -> Result<Option<Otlp>, InvalidSettings> {
    let pair = |traces: &'static str, all: &'static str| variables.first([traces, all]);
    let endpoint = pair(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    );
    let Some((_, endpoint)) = endpoint else {
        return Ok(None);
    };
    let protocol = pair(
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    );
    let is_http = protocol.is_some_and(|(_, protocol)| protocol.starts_with("http"));
    let insecure = variables.get("OTEL_EXPORTER_OTLP_INSECURE") == Some("true");
    let configured_secure = otel.and_then(|otel| otel.is_secure).unwrap_or(true);
    let mut headers = otel
        .map(|otel| headers_of(&otel.headers))
        .transpose()?
        .unwrap_or_default();
    let given = pair(
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        "OTEL_EXPORTER_OTLP_HEADERS",
    );
    if let Some((name, list)) = given {
        headers.extend(listed_headers(name, list)?);
    }
    let limit = variables.milliseconds([
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
        "OTEL_EXPORTER_OTLP_TIMEOUT",
    ])?;
    let configured = otel.map(timeout_of).transpose()?.flatten();
    Ok(Some(Otlp {
        protocol: if is_http {
            Protocol::Http
        } else {
            Protocol::Grpc
        },
        endpoint: without_scheme(endpoint).to_owned(),
        secure: !insecure && configured_secure,
        headers,
        timeout: limit.or(configured).unwrap_or(TIMEOUT),
        certificate: certificate(variables),
    }))
}

fn certificate(variables: &Variables) -> Option<String> {
    let names = [
        "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
    ];
    variables.first(names).map(|(_, path)| path.to_owned())
}

fn without_scheme(endpoint: &str) -> &str {
    let bare = endpoint.strip_prefix("http://").unwrap_or(endpoint);
    bare.strip_prefix("https://").unwrap_or(bare)
}

fn timeout_of(otel: &OtelSpec) -> Result<Option<Duration>, InvalidSettings> {
    let Some(text) = &otel.timeout else {
        return Ok(None);
    };
    let duration = parse_duration(text).map_err(|_| InvalidSettings::Timeout(text.clone()))?;
    Ok(Some(duration).filter(|duration| !duration.is_zero()))
}

fn headers_of(pairs: &[NameValuePair]) -> Result<HeaderMap, InvalidSettings> {
    let mut headers = HeaderMap::new();
    for pair in pairs {
        insert(&mut headers, &pair.name, &pair.text())?;
    }
    Ok(headers)
}

fn listed_headers(variable: &'static str, list: &str) -> Result<HeaderMap, InvalidSettings> {
    let mut headers = HeaderMap::new();
    for pair in list.split(',').filter(|pair| !pair.trim().is_empty()) {
        let (name, value) = pair
            .split_once('=')
            .ok_or(InvalidSettings::HeaderList(variable))?;
        let (name, value) = (percent_decoded(name.trim()), percent_decoded(value.trim()));
        insert(&mut headers, &name, &value)?;
    }
    Ok(headers)
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), InvalidSettings> {
    let invalid = || InvalidSettings::Header(name.to_owned());
    let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
    let mut value = HeaderValue::from_str(value).map_err(|_| invalid())?;
    value.set_sensitive(true);
    headers.insert(key, value);
    Ok(())
}

impl Batching {
    fn of(variables: &Variables) -> Result<Self, InvalidSettings> {
        let number = |name: &'static str, default: usize| match variables.get(name) {
            None => Ok(default),
            Some(value) => {
                let invalid = |_| InvalidSettings::Number {
                    name,
                    value: value.to_owned(),
                };
                value
                    .parse()
                    .map(|number: usize| number.max(1))
                    .map_err(invalid)
            }
        };
        let delay = number("OTEL_BSP_SCHEDULE_DELAY", 5000)?;
        let queue = number("OTEL_BSP_MAX_QUEUE_SIZE", 2048)?;
        Ok(Self {
            delay: Duration::from_millis(delay as u64),
            queue,
            batch: number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)?.min(queue),
        })
    }
}

#[cfg(test)]
mod tests;
