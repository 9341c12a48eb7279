//! Metadata of the store, and what it means.

use std::path::PathBuf;

use http::Uri;
use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::{
    metadata::{Metadata, MetadataError, Schema, value::Sensitive},
    registry::InitError,
};
use trilby_https::{Client, Tls, Verification, authorities};

use crate::{content::ValueType, engine::EngineVersion, path::Path, server::Server, token::Source};

/// Metadata of the store.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// Where the server is: `https://host:port` or, without TLS, `http://host:port`.
    #[serde(default = "default_address")]
    vault_addr: String,
    /// The token to log in with. Either this or `vaultTokenMountPath`.
    vault_token: Option<Sensitive>,
    /// A file that holds the token; it is read with every request, so others may replace it.
    vault_token_mount_path: Option<PathBuf>,
    /// What every secret lies below.
    #[serde(rename = "vaultKVPrefix", default = "default_prefix")]
    vault_kv_prefix: String,
    /// Whether secrets lie below `vaultKVPrefix`, or right in the engine.
    #[serde(rename = "vaultKVUsePrefix", default = "yes")]
    vault_kv_use_prefix: bool,
    /// Beyond upstream: the version of the key-value engine. `auto` asks the server, once; where it does not tell, it is
    /// version 2.
    #[serde(rename = "vaultKVVersion", default)]
    #[schemars(extend("default" = "auto"))]
    vault_kv_version: EngineVersion,
    /// Where the key-value engine is mounted.
    #[serde(default = "default_engine")]
    engine_path: String,
    /// What a secret is: several values (`map`), or the JSON of all of them as one (`text`).
    #[serde(default)]
    #[schemars(extend("default" = "map"))]
    vault_value_type: ValueType,
    /// Certificates of the authorities to trust, in PEM; comes before `caPath`.
    ca_pem: Option<String>,
    /// A folder with certificates of the authorities to trust, in PEM; comes before `caCert`. Without any of the three,
    /// the system's authorities are trusted.
    ca_path: Option<PathBuf>,
    /// A file with certificates of the authorities to trust, in PEM.
    ca_cert: Option<PathBuf>,
    /// `true`, in just these letters, trusts any server: whoever is on the way can read and answer.
    #[schemars(extend("default" = "false"))]
    skip_verify: Option<String>,
    /// The name that the server's certificate is verified for; the one of `vaultAddr` unless set.
    tls_server_name: Option<String>,
}

impl Schema for Settings {}

fn default_address() -> String {
    "https://127.0.0.1:8200".to_owned()
}

fn default_prefix() -> String {
    "dapr".to_owned()
}

fn default_engine() -> String {
    "secret".to_owned()
}

fn yes() -> bool {
    true
}

/// What the settings mean.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) server: Server,
    pub(crate) token: Source,
    pub(crate) engine: Path,
    pub(crate) prefix: Path,
    pub(crate) version: EngineVersion,
    pub(crate) value_type: ValueType,
}

impl Config {
    /// Reads the settings and the files of TLS; nothing is sent.
    ///
    /// # Errors
    /// Something in them cannot be used.
    pub(crate) async fn new(metadata: &Metadata) -> Result<Self, InitError> {
        let settings: Settings = metadata.decode()?;
        let base = base(&settings.vault_addr)?;
        let prefix = match settings.vault_kv_use_prefix {
            true => path("vaultKVPrefix", &settings.vault_kv_prefix)?,
            false => Path::default(),
        };
        let engine = path("enginePath", &settings.engine_path)?;
        if engine.is_empty() {
            return Err(MetadataError::invalid("enginePath", "it names no engine").into());
        }
        let tls = tls(&settings, base.starts_with("https:")).await?;
        let client = Client::with_tls(&tls)
            .map_err(|error| InitError::Invalid(format!("couldn't create client: {error}")))?;
        let token = Source::new(
            settings.vault_token.as_ref(),
            settings.vault_token_mount_path,
        );
        Ok(Self {
            server: Server::new(client, base),
            token: token.map_err(|error| InitError::Invalid(error.to_string()))?,
            engine,
            prefix,
            version: settings.vault_kv_version,
            value_type: settings.vault_value_type,
        })
    }
}

fn path(key: &str, text: &str) -> Result<Path, MetadataError> {
    Path::new(text).map_err(|error| MetadataError::invalid(key, error.to_string()))
}

/// The address without a slash at its end.
fn base(address: &str) -> Result<String, MetadataError> {
    let bad = |reason: &str| MetadataError::invalid("vaultAddr", format!("{address:?} {reason}"));
    let uri: Uri = address.parse().map_err(|_| bad("is no URL"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(bad("does not start with https:// or http://"));
    }
    if uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
        return Err(bad("is no address of a server"));
    }
    Ok(address.trim_end_matches('/').to_owned())
}

async fn tls(settings: &Settings, is_used: bool) -> Result<Tls, InitError> {
    let unverified = settings.skip_verify.as_deref() == Some("true");
    if unverified && is_used {
        tracing::warn!("skipVerify: the server is not verified: whoever is on the way can read");
    }
    if unverified || !is_used {
        return Ok(Tls {
            verification: Verification::Nothing,
            ..Tls::default()
        });
    }
    let read = match (&settings.ca_pem, &settings.ca_path, &settings.ca_cert) {
        (Some(pem), _, _) => Ok(Some(pem.clone().into_bytes())),
        (None, Some(folder), _) => authorities::in_folder(folder).await.map(Some),
        (None, None, Some(file)) => authorities::in_file(file).await.map(Some),
        (None, None, None) => Ok(None),
    };
    Ok(Tls {
        authorities: read.map_err(|error| {
            InitError::Invalid(format!(
                "couldn't read certificates of authorities: {error}"
            ))
        })?,
        server_name: settings.tls_server_name.clone(),
        ..Tls::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn config(pairs: &[(&str, &str)]) -> Result<Config, String> {
        let pairs = [("vaultToken", "t"), ("caPem", "unused")]
            .into_iter()
            .chain(pairs.iter().copied().filter(|(key, _)| *key != "caPem"));
        let address = ("vaultAddr", "http://127.0.0.1:1");
        let pairs: Vec<_> = pairs.collect();
        let told = pairs.iter().any(|(key, _)| *key == "vaultAddr");
        let address = (!told).then_some(address);
        let metadata = Metadata::new(pairs.into_iter().chain(address)).unwrap();
        let config = Config::new(&metadata).await;
        config.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn secrets_lie_where_upstream_looks_for_them() {
        let told = config(&[]).await.unwrap();
        assert_eq!(
            (told.engine.as_str(), told.prefix.as_str()),
            ("secret", "dapr")
        );
        let told = config(&[("vaultKVUsePrefix", "false"), ("vaultKVPrefix", "p")]).await;
        assert!(told.unwrap().prefix.is_empty());
        let told = config(&[("enginePath", "/kv/team/"), ("vaultKVPrefix", "a b")]).await;
        let told = told.unwrap();
        assert_eq!(
            (told.engine.as_str(), told.prefix.as_str()),
            ("kv/team", "a%20b")
        );
    }

    #[tokio::test]
    async fn what_cannot_be_is_refused_by_name() {
        for (key, value, reason) in [
            ("vaultAddr", "vault:8200", "vaultAddr is invalid"),
            ("vaultAddr", "ftp://vault", "does not start with https://"),
            ("vaultAddr", "http://vault?a=b", "no address of a server"),
            (
                "enginePath",
                "/",
                "enginePath is invalid: it names no engine",
            ),
            (
                "enginePath",
                "a/../b",
                "enginePath is invalid: \"a/../b\" has a part",
            ),
            ("vaultKVPrefix", "..", "vaultKVPrefix is invalid"),
            ("vaultKVVersion", "3", "expected one of auto, 1, 2"),
            ("vaultValueType", "list", "expected one of map, text"),
            (
                "vaultTokenMountPath",
                "/t",
                "token mount path and token both set",
            ),
        ] {
            let refused = config(&[(key, value)]).await.unwrap_err();
            assert!(refused.contains(reason), "{key}={value}: {refused}");
        }
    }

    async fn with_tls(pairs: &[(&str, &str)]) -> Result<(), String> {
        let pairs = [("vaultToken", "t")].iter().chain(pairs).copied();
        let metadata = Metadata::new(pairs).unwrap();
        let config = Config::new(&metadata).await;
        config.map(drop).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn authorities_are_taken_from_the_first_place_that_is_told() {
        let missing = ("caCert", "/nowhere/ca.pem");
        let refused = with_tls(&[missing]).await.unwrap_err();
        assert!(refused.contains("/nowhere/ca.pem"), "{refused}");
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().to_str().unwrap();
        let refused = with_tls(&[missing, ("caPath", folder)]).await.unwrap_err();
        assert!(refused.contains("no usable certificate"), "{refused}");
        let pem = [missing, ("caPath", "/nowhere"), ("caPem", "no PEM")];
        let refused = with_tls(&pem).await.unwrap_err();
        assert!(refused.contains("no usable certificate"), "{refused}");
    }

    #[tokio::test]
    async fn only_the_word_true_trusts_any_server() {
        let bad = ("caPem", "no PEM");
        for word in ["True", "yes", "1", "false"] {
            assert!(
                with_tls(&[bad, ("skipVerify", word)]).await.is_err(),
                "{word}"
            );
        }
        assert_eq!(with_tls(&[bad, ("skipVerify", "true")]).await, Ok(()));
    }
}
