//! `secretstores.hashicorp.vault`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::OnceCell;
use tracing::debug;
use trilby_components::{
    RequestMetadata,
    metadata::Metadata,
    registry::InitError,
    secret::{MULTIPLE_KEY_VALUES, Secret, SecretError, SecretStore},
};

use crate::{
    content::{self, ValueType},
    engine::{EngineVersion, Kv, Revision},
    keeping, listing,
    reader::{Reader, secret_error},
    server::{Ask, Failure},
    settings::Config,
    token::Token,
};

/// Request metadata that asks for a version.
const VERSION: &str = "version_id";
/// What a bulk request reads at most, in bytes of values.
const MOST_VALUES: usize = 64 << 20;
/// The secrets of one key-value engine, below a prefix.
#[derive(Debug)]
pub struct VaultSecrets {
    config: Config,
    /// Found out by the first request.
    kv: OnceCell<Kv>,
}

impl VaultSecrets {
    /// Reads its settings and the files that they name; talks to nobody.
    ///
    /// # Errors
    /// Settings or files cannot be used.
    pub async fn new(metadata: &Metadata) -> Result<Self, InitError> {
        let config = Config::new(metadata).await?;
        let token = config.token.read().await;
        token.map_err(|error| InitError::Invalid(error.to_string()))?;
        let kv = OnceCell::new();
        Ok(Self { config, kv })
    }

    async fn reader(&self, metadata: &RequestMetadata) -> Result<Reader<'_>, SecretError> {
        let revision = Revision::new(metadata.get(VERSION).map(String::as_str));
        let token = self.config.token.read().await;
        let token = token.map_err(|error| SecretError::Unavailable(error.to_string()))?;
        let kv = self.kv.get_or_try_init(|| self.find_kv(&token)).await?;
        Ok(Reader {
            config: &self.config,
            kv: *kv,
            revision: revision.map_err(|error| SecretError::InvalidRequest(error.to_string()))?,
            token,
        })
    }

    async fn find_kv(&self, token: &Token) -> Result<Kv, SecretError> {
        match self.config.version {
            EngineVersion::One => return Ok(Kv::One),
            EngineVersion::Two => return Ok(Kv::Two),
            EngineVersion::Auto => {}
        }
        let engine = self.config.engine.as_str();
        let ask = Ask::get(format!("sys/internal/ui/mounts/{engine}"));
        match self.config.server.ask(&ask, token).await {
            Ok(body) => {
                let data = content::data(&body).ok().flatten();
                Ok(data
                    .and_then(|data| Kv::of_mount(data).ok())
                    .unwrap_or(Kv::Two))
            }
            // Not every token may ask that; upstream knows version 2 only.
            Err(Failure::Refused { status, .. }) if status.is_client_error() => {
                debug!(%status, engine, "the version of the engine is not told: it is taken for 2");
                Ok(Kv::Two)
            }
            Err(failure) => Err(secret_error("couldn't get the engine's version", failure)),
        }
    }
}

#[async_trait]
impl SecretStore for VaultSecrets {
    async fn get(&self, name: &str, metadata: &RequestMetadata) -> Result<Secret, SecretError> {
        self.reader(metadata).await?.secret(name).await
    }

    async fn bulk_get(
        &self,
        metadata: &RequestMetadata,
    ) -> Result<BTreeMap<String, Secret>, SecretError> {
        let reader = self.reader(metadata).await?;
        let names = listing::names(&reader).await?;
        let reads: Vec<_> = names.into_iter().map(|name| reader.named(name)).collect();
        let mut reads = stream::iter(reads).buffered(listing::AT_ONCE);
        let (mut secrets, mut size) = (BTreeMap::new(), 0);
        while let Some(read) = reads.try_next().await? {
            let Some((name, secret)) = read else {
                continue;
            };
            size += secret.values().map(String::len).sum::<usize>();
            if size > MOST_VALUES {
                return Err(SecretError::InvalidRequest(format!(
                    "the secrets below the prefix have more than {MOST_VALUES} bytes: narrow vaultKVPrefix"
                )));
            }
            secrets.insert(name, secret);
        }
        Ok(secrets)
    }

    fn capabilities(&self) -> Vec<&'static str> {
        match self.config.value_type {
            ValueType::Map => vec![MULTIPLE_KEY_VALUES],
            ValueType::Text => Vec::new(),
        }
    }

    /// Renews the token in time.
    async fn keep(&self) {
        keeping::keep(&self.config.server, &self.config.token).await;
    }
}

#[cfg(test)]
mod tests;
