//! A binding in service.

use std::{fmt, sync::Arc};

use schemars::JsonSchema;
use serde::Deserialize;
use tokio_util::sync::DropGuard;
use trilby_component_catalogue::Field;
use trilby_components::{
    binding::{Binding, InputBinding, OutputBinding},
    definition,
    metadata::{Metadata, Schema},
};

use crate::initialise::Failure;

/// Metadata of any binding that the sidecar uses itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BindingSettings {
    /// Which directions are used: `input`, `output`, or both (`input,output`). All that the type has, if it is not given.
    direction: Option<String>,
    /// The path that events are sent to. The component's name, if it is not given.
    route: Option<String>,
}

impl Schema for BindingSettings {}

/// What every binding takes beside its own settings.
#[must_use]
pub fn binding_fields() -> Vec<Field> {
    definition::fields::<BindingSettings>()
}

impl BindingSettings {
    /// Takes the sidecar's own settings out of a binding's metadata.
    pub(crate) fn split(metadata: &Metadata) -> Result<(Self, Metadata), Failure> {
        let split = metadata.split::<Self>();
        split.map_err(|error| Failure::lasting(error.to_string()))
    }

    fn says(&self, direction: &str) -> Option<bool> {
        let said = self.direction.as_deref()?;
        let mut directions = said.split(',').map(str::trim);
        Some(directions.any(|one| one.eq_ignore_ascii_case(direction)))
    }
}

/// A binding and the sidecar's settings for it. It is closed after its last clone is gone.
pub struct BindingComponent {
    /// The component's name.
    pub name: String,
    pub(super) binding: Binding,
    pub(super) settings: BindingSettings,
    pub(super) _in_use: DropGuard,
}

impl BindingComponent {
    /// What brings events, if the component has it and is used for it.
    #[must_use]
    pub fn input(&self) -> Option<&Arc<dyn InputBinding>> {
        let used = self.settings.says("input").unwrap_or(true);
        self.binding.input.as_ref().filter(|_| used)
    }

    /// What operations are asked of, if the component has it and is used for it.
    #[must_use]
    pub fn output(&self) -> Option<&Arc<dyn OutputBinding>> {
        let used = self.settings.says("output").unwrap_or(true);
        self.binding.output.as_ref().filter(|_| used)
    }

    /// Whether the component itself says that events are to be read: the application is not asked.
    #[must_use]
    pub fn is_input_by_name(&self) -> bool {
        self.settings.says("input") == Some(true)
    }

    /// The path that events are sent to.
    #[must_use]
    pub fn route(&self) -> &str {
        let route = self.settings.route.as_deref();
        route
            .filter(|route| !route.is_empty())
            .unwrap_or(&self.name)
    }

    /// The capabilities that the metadata API lists, of the directions that are used.
    pub(crate) fn capabilities(&self) -> Vec<&'static str> {
        let used = Binding {
            input: self.input().cloned(),
            output: self.output().cloned(),
        };
        used.capabilities()
    }
}

impl fmt::Debug for BindingComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BindingComponent({})", self.name)
    }
}
