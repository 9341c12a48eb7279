//! `crypto.dapr.localstorage`: a key a file, in one folder.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::{
    fs::{self, File},
    io::AsyncReadExt as _,
};
use trilby_components::{
    crypto::{CryptoError, KeyMaterial, KeySource},
    metadata::{Metadata, MetadataError, Schema},
    registry::InitError,
};

/// What is longer is no key, in bytes: RSA keys of 8192 bits are some 9 kB.
const LONGEST: u64 = 1 << 20;

/// Metadata of the provider.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// The folder, absolute or from the sidecar's working directory. Keys are named as their files are: `.json` is a
    /// JSON Web Key, `.pem` is PEM, anything else what it looks like.
    path: PathBuf,
}

impl Schema for Settings {}

/// Keys in files, each read when it is used.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Looks whether the folder is there.
    ///
    /// # Errors
    /// When the metadata does not decode, or names no folder.
    pub async fn open(metadata: &Metadata) -> Result<Self, InitError> {
        let Settings { path } = metadata.decode()?;
        if path.as_os_str().is_empty() {
            return Err(MetadataError::Missing("path".into()).into());
        }
        let shown = path.display();
        match fs::metadata(&path).await {
            Ok(found) if found.is_dir() => Ok(Self { path }),
            Ok(_) => Err(InitError::Invalid(format!(
                "path '{shown}' is not a directory"
            ))),
            Err(error) => Err(InitError::Invalid(format!(
                "could not stat path '{shown}': {error}"
            ))),
        }
    }
}

#[async_trait]
impl KeySource for Folder {
    async fn fetch(&self, name: &str) -> Result<KeyMaterial, CryptoError> {
        if name.contains("..") {
            let text = "invalid key path: cannot contain '..'";
            return Err(CryptoError::InvalidRequest(text.into()));
        }
        let path = self.path.join(name.trim_start_matches('/'));
        let bytes = read(&path).await.map_err(|error| {
            let text = format!("failed to load key '{name}': {error}");
            match error.kind() {
                ErrorKind::NotFound => CryptoError::NotFound(text),
                ErrorKind::PermissionDenied => CryptoError::Forbidden(text),
                ErrorKind::InvalidData | ErrorKind::IsADirectory => {
                    CryptoError::InvalidRequest(text)
                }
                _ => CryptoError::Unavailable(text),
            }
        })?;
        Ok(KeyMaterial {
            bytes,
            content_type: content_type(&path).to_owned(),
        })
    }
}

/// A file that may be a key or a set of keys.
pub(crate) async fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).await?;
    file.take(LONGEST + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > LONGEST {
        let text = format!("the file is longer than {LONGEST} bytes");
        return Err(std::io::Error::new(ErrorKind::InvalidData, text));
    }
    Ok(bytes)
}

fn content_type(path: &Path) -> &'static str {
    let extension = path.extension().unwrap_or_default();
    match extension.to_ascii_lowercase().to_str() {
        Some("json") => "application/json",
        Some("pem") => "application/x-pem-file",
        _ => "",
    }
}
