//! `secretstores.local.file`: a JSON object in a file.
//!
//! Better than upstream's: the file is read again when it changed (a version that cannot be read leaves the
//! last good one in force), and values that are not text come back as their JSON.

mod flatten;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::fs;
use tracing::{info, warn};
use trilby_components::{
    RequestMetadata,
    metadata::{Metadata, MetadataError, Schema},
    registry::InitError,
    secret::{MULTIPLE_KEY_VALUES, Secret, SecretError, SecretStore},
};

use flatten::Layout;

/// Metadata of the store.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// The file, absolute or from the sidecar's working directory.
    secrets_file: PathBuf,
    /// What joins the names of nested objects.
    #[serde(default = "default_separator")]
    nested_separator: String,
    /// Whether an object at the top is one secret of several values, rather than several secrets.
    #[serde(default)]
    multi_valued: bool,
}

impl Schema for Settings {}

fn default_separator() -> String {
    ":".into()
}

/// The secrets of a file.
#[derive(Debug)]
pub struct FileSecrets {
    path: PathBuf,
    layout: Layout,
    read: Mutex<Version>,
}

/// What the file held when it was last read.
#[derive(Debug, Clone)]
struct Version {
    stamp: Stamp,
    secrets: Arc<BTreeMap<String, Secret>>,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
}

impl FileSecrets {
    /// Reads the file.
    ///
    /// # Errors
    /// When the metadata does not decode, or the file cannot be read.
    pub async fn open(metadata: &Metadata) -> Result<Self, InitError> {
        let settings: Settings = metadata.decode()?;
        if settings.secrets_file.as_os_str().is_empty() {
            return Err(MetadataError::Missing("secretsFile".into()).into());
        }
        let layout = match settings.multi_valued {
            true => Layout::Nested(settings.nested_separator),
            false => Layout::Flat(settings.nested_separator),
        };
        let version = Version::read(&settings.secrets_file, &layout).await;
        Ok(Self {
            read: Mutex::new(version.map_err(InitError::Invalid)?),
            path: settings.secrets_file,
            layout,
        })
    }

    /// The secrets as the file has them now, or had when it could last be read.
    async fn secrets(&self) -> Arc<BTreeMap<String, Secret>> {
        let Version { stamp, secrets } = self.read.lock().clone();
        let now = Stamp::of(&self.path).await;
        if now.as_ref().is_ok_and(|now| *now == stamp) {
            return secrets;
        }
        match Version::read(&self.path, &self.layout).await {
            Ok(version) => {
                info!(file = %self.path.display(), "the file of secrets changed and was read again");
                let secrets = Arc::clone(&version.secrets);
                *self.read.lock() = version;
                secrets
            }
            Err(error) => {
                warn!(
                    error,
                    "the last good version of the file of secrets stays in force"
                );
                // The same bad version is not read with every request.
                if let Ok(now) = now {
                    self.read.lock().stamp = now;
                }
                secrets
            }
        }
    }
}

impl Version {
    async fn read(path: &Path, layout: &Layout) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| {
            format!("cannot read the secrets file {}: {error}", path.display())
        };
        // Before the content: a change in between is seen by the next request.
        let stamp = Stamp::of(path).await.map_err(|error| failed(&error))?;
        let text = fs::read(path).await.map_err(|error| failed(&error))?;
        let object = serde_json::from_slice(&text).map_err(|error| failed(&error))?;
        let secrets = layout.secrets(object).map_err(|error| failed(&error))?;
        Ok(Self {
            stamp,
            secrets: Arc::new(secrets),
        })
    }
}

impl Stamp {
    async fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = fs::metadata(path).await?;
        Ok(Self {
            modified: metadata.modified().ok(),
            length: metadata.len(),
        })
    }
}

#[async_trait]
impl SecretStore for FileSecrets {
    async fn get(&self, name: &str, _: &RequestMetadata) -> Result<Secret, SecretError> {
        let secrets = self.secrets().await;
        let found = secrets.get(name).cloned();
        found.ok_or_else(|| SecretError::NotFound(format!("secret {name} not found")))
    }

    async fn bulk_get(&self, _: &RequestMetadata) -> Result<BTreeMap<String, Secret>, SecretError> {
        Ok(Arc::unwrap_or_clone(self.secrets().await))
    }

    fn capabilities(&self) -> Vec<&'static str> {
        match self.layout {
            Layout::Flat(_) => Vec::new(),
            Layout::Nested(_) => vec![MULTIPLE_KEY_VALUES],
        }
    }
}

#[cfg(test)]
mod tests;
