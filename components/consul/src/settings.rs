//! What the configuration of the name resolution means.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use trilby_components::name_resolution::Instance;
use trilby_components::registry::InitError;

use crate::agent::Connection;
use crate::environment::Variable;
use crate::query::{Defaults, QueryOptions, Questions};
use crate::registration::Registration;
use crate::shape::{CONFIGURATION, canonical};

/// Where a sidecar's port stands in the metadata of its service, unless told otherwise.
const PORT_KEY: &str = "DAPR_PORT";

/// Everything that is told.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) connection: Connection,
    pub(crate) questions: Questions,
    /// The service of this sidecar; `None` leaves its registration to others.
    pub(crate) registration: Option<Registration>,
    /// Whether the registration ends with the sidecar.
    pub(crate) deregister: bool,
    /// Under which name the port of a sidecar stands in its service's metadata.
    pub(crate) port_key: String,
    /// Whether the services in use are followed, and answers given from memory.
    pub(crate) use_cache: bool,
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Told {
    client: crate::agent::Told,
    checks: Vec<Value>,
    tags: Vec<String>,
    meta: BTreeMap<String, String>,
    query_options: Option<QueryOptions>,
    advanced_registration: Option<Map<String, Value>>,
    dapr_port_meta_key: String,
    self_register: bool,
    self_deregister: bool,
    use_cache: bool,
}

impl Settings {
    /// Reads the `configuration` of the name resolution for the sidecar of `instance`.
    ///
    /// # Errors
    /// A value is of the wrong kind or cannot be.
    pub(crate) fn new(
        instance: &Instance,
        configuration: &Value,
        variable: Variable,
    ) -> Result<Self, InitError> {
        let invalid = |reason: String| {
            InitError::Invalid(format!(
                "configuration of name resolver hashicorp.consul: {reason}"
            ))
        };
        let (told, mut warnings) = read(configuration).map_err(invalid)?;
        told.warn(&mut warnings);
        let port_key = match told.dapr_port_meta_key.as_str() {
            "" => PORT_KEY.to_owned(),
            told => told.to_owned(),
        };
        let registration = told.registration(instance).map_err(invalid)?;
        let registration = registration
            .map(|service| Registration::new(service, &port_key, instance.internal_port));
        let connection = Connection::new(told.client, variable).map_err(invalid)?;
        let defaults = Defaults {
            datacenter: &connection.datacenter,
            wait: connection.wait,
        };
        let questions = Questions::new(told.query_options, defaults, variable);
        Ok(Self {
            questions: questions.map_err(invalid)?,
            connection,
            registration: registration.transpose().map_err(invalid)?,
            deregister: told.self_deregister,
            port_key,
            use_cache: told.use_cache,
            warnings,
        })
    }
}

fn read(configuration: &Value) -> Result<(Told, Vec<String>), String> {
    if configuration.is_null() {
        return Ok((Told::default(), Vec::new()));
    }
    let read = canonical(&CONFIGURATION, configuration)?;
    let told = serde_json::from_value(read.value).map_err(|error| error.to_string())?;
    let unknown = read.unknown.into_iter();
    let warnings = unknown.map(|name| format!("{name} is no setting, and is left out"));
    Ok((told, warnings.collect()))
}

impl Told {
    /// The service as it is told, or as upstream makes it.
    fn registration(&self, instance: &Instance) -> Result<Option<Map<String, Value>>, String> {
        if let Some(advanced) = &self.advanced_registration {
            return Ok(Some(advanced.clone()));
        }
        if !self.self_register {
            return Ok(None);
        }
        let own = Registration::of(instance, &self.checks)?;
        let mut service = own;
        if !self.tags.is_empty() {
            service.insert("Tags".to_owned(), self.tags.clone().into());
        }
        let meta = self.meta.iter();
        let meta = meta.map(|(name, value)| (name.clone(), Value::from(value.clone())));
        service.insert("Meta".to_owned(), Value::Object(meta.collect()));
        Ok(Some(service))
    }

    /// What is told to no effect.
    fn warn(&self, warnings: &mut Vec<String>) {
        let without_effect = [
            ("selfRegister", self.self_register),
            ("checks", !self.checks.is_empty()),
            ("tags", !self.tags.is_empty()),
            ("meta", !self.meta.is_empty()),
        ];
        let overridden = without_effect
            .iter()
            .filter(|(_, told)| *told && self.advanced_registration.is_some());
        for (name, _) in overridden {
            warnings.push(format!("{name} has no effect beside advancedRegistration"));
        }
        let waits = self.query_options.as_ref();
        if waits.is_some_and(QueryOptions::tells_state_of_a_wait) {
            warnings
                .push("queryOptions.waitIndex and queryOptions.waitHash have no effect".to_owned());
        }
    }
}

#[cfg(test)]
mod tests;
