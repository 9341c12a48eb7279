//! `bindings.localstorage`: files below one directory.
//!
//! Every name is walked from that directory, one step at a time, over directories that are open: a link is followed
//! only within it, `..` ends at it, and what somebody exchanges meanwhile leads nowhere else.
//!
//! Better than upstream's: directories are made for their owner and group alone; content that happens to be Base64 can
//! be kept as it is (`decodeBase64`); what disappears while it is listed is left out; a name is needed to delete; pipes
//! and devices are neither read nor written.

mod files;
mod root;
mod walk;

use async_trait::async_trait;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio::task::spawn_blocking;
use trilby_components::binding::{BindingError, Invocation, OutputBinding, Reply, unquoted};
use trilby_components::metadata::{Metadata, MetadataError, Schema};
use trilby_components::registry::InitError;
use uuid::Uuid;

use root::Root;

/// Every operation.
const OPERATIONS: &[&str] = &["create", "get", "list", "delete"];
/// Base64 as Go reads it: bits that do not count may be anything.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Metadata of the binding.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// The directory that files are in, absolute or from the sidecar's working directory. It is made unless it is there.
    /// It cannot be in `/proc`, `/sys`, `/boot` or `/var/run/secrets`.
    root_path: String,
    /// Whether content that is Base64 is decoded before it is written, as upstream does; `false` keeps it as it is.
    #[serde(default = "yes", rename = "decodeBase64")]
    decode_base64: bool,
}

impl Schema for Settings {}

fn yes() -> bool {
    true
}

/// Files below one directory.
pub struct LocalStorage {
    root: Root,
    decode_base64: bool,
}

impl LocalStorage {
    /// Makes the directory unless it is there.
    ///
    /// # Errors
    /// It cannot be, or must not be used.
    pub fn open(metadata: &Metadata) -> Result<Self, InitError> {
        let settings: Settings = metadata.decode()?;
        let root = Root::open(settings.root_path.as_ref());
        Ok(Self {
            root: root.map_err(|reason| MetadataError::invalid("rootPath", reason))?,
            decode_base64: settings.decode_base64,
        })
    }

    fn content(&self, data: Bytes) -> Bytes {
        let data = unquoted(data);
        if !self.decode_base64 {
            return data;
        }
        // As in Go, lines may end anywhere.
        let lines = data.iter().filter(|byte| !b"\r\n".contains(byte));
        let joined: Vec<u8> = lines.copied().collect();
        BASE64.decode(joined).map_or(data, Bytes::from)
    }
}

#[async_trait]
impl OutputBinding for LocalStorage {
    fn operations(&self) -> Vec<String> {
        OPERATIONS.iter().map(|name| (*name).to_owned()).collect()
    }

    async fn invoke(&self, invocation: Invocation) -> Result<Reply, BindingError> {
        let name = invocation.metadata.get("fileName");
        let name = name.cloned().unwrap_or_default();
        let root = self.root.clone();
        match invocation.operation.as_str() {
            "create" => {
                let content = self.content(invocation.data);
                let name = match name.is_empty() {
                    true => Uuid::new_v4().to_string(),
                    false => name,
                };
                let written = off_runtime(move || files::write(&root, &name, &content)).await?;
                Ok(said(json!({"fileName": written}).to_string()))
            }
            "get" => off_runtime(move || files::read(&root, &name))
                .await
                .map(said),
            "list" => {
                let found = off_runtime(move || files::list(&root, &name)).await?;
                // Nothing is `null`, as Go writes it.
                Ok(said(match found.is_empty() {
                    true => "null".to_owned(),
                    false => json!(found).to_string(),
                }))
            }
            "delete" => {
                off_runtime(move || files::delete(&root, &name)).await?;
                Ok(Reply::default())
            }
            other => Err(BindingError::InvalidRequest(format!(
                "unsupported operation {other}"
            ))),
        }
    }
}

fn said(data: impl Into<Bytes>) -> Reply {
    Reply {
        data: Some(data.into()),
        ..Reply::default()
    }
}

/// Files are waited for outside of the threads that serve requests.
async fn off_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, files::Failure> + Send + 'static,
) -> Result<T, BindingError> {
    let done = spawn_blocking(work).await;
    let done = done.map_err(|error| BindingError::Unavailable(error.to_string()))?;
    done.map_err(BindingError::from)
}

#[cfg(test)]
mod tests;
