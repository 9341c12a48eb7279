//! The metadata of every block's connection, with upstream's names and defaults.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use trilby_components::causes::with_causes;
use trilby_components::metadata::{MetadataError, Schema, value::Sensitive};

/// Upstream's limit of connecting, and of each call.
pub(crate) const LIMIT: Duration = Duration::from_secs(5);
/// A connection over which nothing comes back for this long, and then for [`LIMIT`], is given up.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Where the cluster is, and which part of its keys is meant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Properties {
    /// The members of the cluster, `host:port` each.
    endpoints: Vec<String>,
    /// What stands before every key, with a slash in between.
    #[serde(default)]
    key_prefix_path: String,
    /// Whether members are talked to over TLS; `ca`, `cert` and `key` have to be there then.
    #[serde(default)]
    tls_enable: bool,
    /// The certificates of the authorities that members' certificates are of, in PEM.
    ca: Option<String>,
    /// The certificate that is shown to members, in PEM.
    cert: Option<String>,
    /// Its key, in PEM.
    key: Option<Sensitive>,
}

impl Schema for Properties {}

impl Properties {
    /// The members; at least one.
    ///
    /// # Errors
    /// Something is missing or wrong.
    pub(crate) fn endpoints(&self) -> Result<Vec<Endpoint>, MetadataError> {
        let tls = self.tls()?;
        let endpoints = self.endpoints.iter();
        let endpoints = endpoints.map(|text| endpoint(text.trim(), tls.as_ref()));
        let endpoints: Vec<Endpoint> = endpoints.collect::<Result<_, _>>()?;
        match endpoints.is_empty() {
            true => Err(MetadataError::Missing("endpoints".to_owned())),
            false => Ok(endpoints),
        }
    }

    /// What every key begins with, slash included.
    pub(crate) fn prefix(&self) -> String {
        format!("{}/", self.key_prefix_path)
    }

    fn tls(&self) -> Result<Option<ClientTlsConfig>, MetadataError> {
        if !self.tls_enable {
            return Ok(None);
        }
        let needed = |name: &str, value: Option<&str>| match value {
            Some(pem) => Ok(pem.to_owned()),
            None => Err(MetadataError::Missing(format!(
                "{name}, which tlsEnable needs"
            ))),
        };
        let ca = needed("ca", self.ca.as_deref())?;
        let cert = needed("cert", self.cert.as_deref())?;
        let key = needed("key", self.key.as_ref().map(Sensitive::expose))?;
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(ca))
            .identity(Identity::from_pem(cert, key));
        Ok(Some(tls))
    }
}

/// A member; a scheme may stand before it, if it says what `tlsEnable` says.
fn endpoint(text: &str, tls: Option<&ClientTlsConfig>) -> Result<Endpoint, MetadataError> {
    let wrong = |reason: &str| MetadataError::invalid("endpoints", format!("{text:?} {reason}"));
    let (scheme, address) = match (text.split_once("://"), tls) {
        (None, None) => ("http", text),
        (None, Some(_)) => ("https", text),
        (Some(("http", address)), None) => ("http", address),
        (Some(("https", address)), Some(_)) => ("https", address),
        (Some(("http", _)), Some(_)) => return Err(wrong("has no TLS, which tlsEnable asks for")),
        (Some(("https", _)), None) => return Err(wrong("has TLS, which tlsEnable has to ask for")),
        (Some(_), _) => return Err(wrong("has a scheme that is not there yet")),
    };
    let address = address.trim_end_matches('/');
    let named = |(host, port): (&str, &str)| !host.is_empty() && port.parse::<u16>().is_ok();
    if !address.rsplit_once(':').is_some_and(named) {
        return Err(wrong("is not host:port"));
    }
    let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))
        .map_err(|_| wrong("is not host:port"))?
        .connect_timeout(LIMIT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(LIMIT)
        .keep_alive_while_idle(true);
    match tls {
        None => Ok(endpoint),
        Some(tls) => endpoint.tls_config(tls.clone()).map_err(|error| {
            // Which of the three is wrong, the library does not say.
            MetadataError::invalid("ca, cert or key", with_causes(&error))
        }),
    }
}

#[cfg(test)]
mod tests {
    use trilby_components::metadata::{Metadata, MetadataError};

    use super::Properties;

    /// The members, and what keys begin with.
    fn read(pairs: &[(&str, &str)]) -> Result<(Vec<String>, String), MetadataError> {
        let metadata = Metadata::new(pairs.iter().copied()).unwrap();
        let properties: Properties = metadata.decode()?;
        let endpoints = properties.endpoints()?;
        let uris = endpoints.iter().map(|one| one.uri().to_string());
        Ok((uris.collect(), properties.prefix()))
    }

    #[test]
    fn defaults_are_upstreams() {
        let (endpoints, prefix) = read(&[("endpoints", "a:1, http://b:2/")]).unwrap();
        assert_eq!(endpoints, ["http://a:1/", "http://b:2/"]);
        assert_eq!(prefix, "/");
        let (_, prefix) = read(&[("endpoints", "a:1"), ("keyPrefixPath", "dapr/x")]).unwrap();
        assert_eq!(prefix, "dapr/x/");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (pairs, words) in [
            (vec![], "endpoints is missing"),
            (vec![("endpoints", "a")], "\"a\" is not host:port"),
            (vec![("endpoints", "a:1,")], "\"\" is not host:port"),
            (vec![("endpoints", "unix://a:1")], "not there yet"),
            (vec![("endpoints", "https://a:1")], "tlsEnable"),
            (
                vec![("endpoints", "a:1"), ("tlsEnable", "yes")],
                "ca, which tlsEnable needs",
            ),
            (
                vec![
                    ("endpoints", "a:1"),
                    ("tlsEnable", "true"),
                    ("ca", "c"),
                    ("cert", "c"),
                ],
                "key, which tlsEnable needs",
            ),
            (
                vec![
                    ("endpoints", "http://a:1"),
                    ("tlsEnable", "true"),
                    ("ca", "c"),
                    ("cert", "c"),
                    ("key", "k"),
                ],
                "has no TLS",
            ),
        ] {
            let error = read(&pairs).unwrap_err().to_string();
            assert!(error.contains(words), "{pairs:?}: {error}");
        }
    }
}
