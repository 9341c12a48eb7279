//! `secretstores.local.env`: each variable of the sidecar's environment is a secret of one value.
//!
//! As upstream's, it never fails: a variable that is not there, or must not be shown, reads as an empty text;
//! the log tells which it was.

use std::collections::BTreeMap;
use std::ffi::OsString;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use tracing::{debug, warn};
use trilby_components::{
    RequestMetadata,
    metadata::{Metadata, MetadataError, Schema},
    secret::{Secret, SecretError, SecretStore},
};

/// The application's own token, which no application may read through its sidecar.
const APP_API_TOKEN: &str = "APP_API_TOKEN";
/// How the variables of the sidecar itself begin.
const RESERVED: &str = "DAPR_";

/// Metadata of the store.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Settings {
    /// What every name is preceded by in the environment.
    #[serde(default)]
    prefix: String,
}

impl Schema for Settings {}

/// Reads one variable; `None` when there is none.
type Read = fn(&str) -> Option<OsString>;
/// Reads every variable.
type ReadAll = fn() -> Vec<(OsString, OsString)>;

/// The variables of the sidecar's environment.
#[derive(Debug)]
pub struct EnvironmentSecrets {
    prefix: String,
    read: Read,
    read_all: ReadAll,
}

impl EnvironmentSecrets {
    /// Reads its settings.
    ///
    /// # Errors
    /// When the metadata does not decode.
    pub fn new(metadata: &Metadata) -> Result<Self, MetadataError> {
        let Settings { prefix } = metadata.decode()?;
        Ok(Self {
            prefix,
            read: |name| std::env::var_os(name),
            read_all: || std::env::vars_os().collect(),
        })
    }

    fn value(&self, name: &str) -> String {
        let variable = format!("{}{name}", self.prefix);
        if !may_be_shown(&variable) {
            warn!(variable, "access to the environment variable is forbidden");
            return String::new();
        }
        // Names with these characters cannot be asked for: the system's call refuses them.
        let possible = !variable.is_empty() && !variable.contains(['=', '\0']);
        match possible.then(|| (self.read)(&variable)).flatten() {
            Some(value) => text(value),
            None => {
                debug!(variable, "there is no such environment variable");
                String::new()
            }
        }
    }
}

fn may_be_shown(variable: &str) -> bool {
    let variable = variable.to_uppercase();
    variable != APP_API_TOKEN && !variable.starts_with(RESERVED)
}

/// Bytes that are not UTF-8 become replacement characters: the API returns text.
fn text(value: OsString) -> String {
    value
        .into_string()
        .unwrap_or_else(|value| value.to_string_lossy().into_owned())
}

#[async_trait]
impl SecretStore for EnvironmentSecrets {
    async fn get(&self, name: &str, _: &RequestMetadata) -> Result<Secret, SecretError> {
        Ok(Secret::from([(name.to_owned(), self.value(name))]))
    }

    async fn bulk_get(&self, _: &RequestMetadata) -> Result<BTreeMap<String, Secret>, SecretError> {
        let all = (self.read_all)();
        let shown = all.into_iter().filter_map(|(variable, value)| {
            let variable = text(variable);
            let name = variable.strip_prefix(&self.prefix)?;
            if name.is_empty() || !may_be_shown(&variable) {
                return None;
            }
            Some((
                name.to_owned(),
                Secret::from([(name.to_owned(), text(value))]),
            ))
        });
        Ok(shown.collect())
    }
}

#[cfg(test)]
mod tests {
    use trilby_components::conformance::secret::{self as conformance, Held, Missing};

    use super::*;

    const ENVIRONMENT: &[(&str, &str)] = &[
        ("APP_API_TOKEN", "of-the-app"),
        ("DAPR_API_TOKEN", "of-the-sidecar"),
        ("SHOP_KEY", "1"),
        ("SHOP_", "only-the-prefix"),
        ("HOME", "/home"),
    ];

    fn store(prefix: &str) -> EnvironmentSecrets {
        EnvironmentSecrets {
            prefix: prefix.into(),
            read: |name| {
                let found = ENVIRONMENT.iter().find(|(variable, _)| *variable == name)?;
                Some(found.1.into())
            },
            read_all: || {
                ENVIRONMENT
                    .iter()
                    .map(|(k, v)| (k.into(), v.into()))
                    .collect()
            },
        }
    }

    async fn get(store: &EnvironmentSecrets, name: &str) -> Secret {
        let read = store.get(name, &RequestMetadata::new()).await;
        read.expect("it never fails")
    }

    fn secret(name: &str, value: &str) -> Secret {
        Secret::from([(name.into(), value.into())])
    }

    #[tokio::test]
    async fn a_secret_is_a_variable_under_the_name_asked_for() {
        assert_eq!(get(&store(""), "HOME").await, secret("HOME", "/home"));
        assert_eq!(get(&store("SHOP_"), "KEY").await, secret("KEY", "1"));
    }

    #[tokio::test]
    async fn what_is_not_there_reads_as_an_empty_text() {
        for name in ["NONE", "", "A=B", "A\0B"] {
            assert_eq!(get(&store(""), name).await, secret(name, ""));
        }
    }

    #[tokio::test]
    async fn the_tokens_of_application_and_sidecar_are_never_shown() {
        for name in ["APP_API_TOKEN", "app_api_token", "DAPR_API_TOKEN", "Dapr_x"] {
            assert_eq!(get(&store(""), name).await, secret(name, ""));
        }
        assert_eq!(
            get(&store("DAPR_"), "API_TOKEN").await,
            secret("API_TOKEN", "")
        );
    }

    /// Without a prefix that is the whole environment, as upstream's clients know it.
    #[tokio::test]
    async fn all_secrets_are_those_behind_the_prefix_less_the_forbidden() {
        let all = store("SHOP_").bulk_get(&RequestMetadata::new()).await;
        let expected = BTreeMap::from([("KEY".into(), secret("KEY", "1"))]);
        assert_eq!(all, Ok(expected));
        let all = store("").bulk_get(&RequestMetadata::new()).await;
        let names: Vec<String> = all.expect("it never fails").into_keys().collect();
        assert_eq!(names, ["HOME", "SHOP_", "SHOP_KEY"]);
    }

    #[tokio::test]
    async fn it_passes_the_suite() {
        let held = Held {
            missing: Missing::Empty,
            ..Held::new(&[("KEY", &[("KEY", "1")])])
        };
        conformance::run(&store("SHOP_"), &held).await;
    }

    #[test]
    fn the_store_reads_the_process_own_environment() {
        let store = EnvironmentSecrets::new(&Metadata::default()).expect("no setting is needed");
        assert!(!store.value("PATH").is_empty());
    }
}
