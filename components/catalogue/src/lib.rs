//! What component types there are, what each takes and what it can do, as data for programs that load none.
//!
//! ```text
//! settings structs of components/<tech> ──Definition──▶ components/catalogue.json ──embedded──▶ operator
//!                                                   └──▶ docs/reference/components/*.md
//! ```
//!
//! The file is generated from what decodes a component's metadata, and checked in. Absent on purpose: how a component is
//! made, and whatever is true of one sidecar's build only.

mod field;

use serde::{Deserialize, Serialize};

pub use field::{Effect, Field, Kind, Unit};
pub use trilby_spelling::nearest;

/// The file, as it was when this was built.
const FILE: &str = include_str!("../../catalogue.json");

/// Everything that is known about components.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Catalogue {
    /// What every component of a building block takes beside its own settings.
    pub blocks: Vec<BlockSettings>,
    /// The component types, by name; one that differs between its versions is there once for each, the default first.
    pub components: Vec<Component>,
    /// Types that Dapr has and this version has not yet, aliases included.
    pub absent: Vec<String>,
    /// Name resolvers, which a Configuration names.
    pub resolvers: Vec<String>,
    /// Name resolvers that Dapr has and this version has not yet.
    pub absent_resolvers: Vec<String>,
}

/// The settings that all components of a block have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlockSettings {
    /// What types of the block start with, without the dot: `state`.
    pub prefix: String,
    /// What one component of the block is called: `state store`.
    pub noun: String,
    /// Its settings, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
}

/// One component type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Component {
    /// The full type: `state.redis`.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Other full types that mean the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Its versions, the default first. An empty version means the default.
    pub versions: Vec<String>,
    /// What the sidecar's metadata API says it can do, in its spelling.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Whether keys beyond [`Self::fields`] mean something.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
    /// Its settings, by name.
    pub fields: Vec<Field>,
}

/// What is known about a type and a version.
#[derive(Debug, Clone, PartialEq)]
pub enum Lookup<'a> {
    /// This version of the project serves it.
    Known(&'a Component),
    /// The type has these versions only.
    OtherVersions(Vec<&'a str>),
    /// Dapr has the type, this version of the project has not.
    Absent,
    /// Nobody has it, unless it is a pluggable one.
    Unknown,
    /// Its prefix is no building block's.
    NoBlock,
}

impl Catalogue {
    /// The catalogue of this version, without the descriptions, which are for pages.
    ///
    /// # Panics
    /// Never with a file that a test of this crate has seen.
    #[must_use]
    pub fn embedded() -> Self {
        let mut catalogue: Self =
            serde_json::from_str(FILE).expect("the generated catalogue can be read");
        let blocks = catalogue.blocks.iter_mut().map(|block| &mut block.fields);
        let components = catalogue.components.iter_mut().map(|c| &mut c.fields);
        for field in blocks.chain(components).flatten() {
            field.description = String::new();
        }
        catalogue
    }

    /// What is known about a type and a version, both in any case.
    #[must_use]
    pub fn find(&self, type_name: &str, version: &str) -> Lookup<'_> {
        let is = |name: &String| name.eq_ignore_ascii_case(type_name);
        let named =
            |component: &&Component| is(&component.type_name) || component.aliases.iter().any(is);
        let named: Vec<&Component> = self.components.iter().filter(named).collect();
        if let Some(component) = named.iter().find(|one| one.has_version(version)) {
            return Lookup::Known(component);
        }
        if !named.is_empty() {
            let versions = named.into_iter().flat_map(|one| &one.versions);
            return Lookup::OtherVersions(versions.map(String::as_str).collect());
        }
        if self.absent.iter().any(is) {
            return Lookup::Absent;
        }
        match self.block(type_name) {
            Some(_) => Lookup::Unknown,
            None => Lookup::NoBlock,
        }
    }

    /// The block that a full type belongs to.
    #[must_use]
    pub fn block(&self, type_name: &str) -> Option<&BlockSettings> {
        let lower = type_name.to_lowercase();
        self.blocks.iter().find(|block| {
            let rest = lower.strip_prefix(block.prefix.as_str());
            let name = rest.and_then(|rest| rest.strip_prefix('.'));
            name.is_some_and(|name| !name.is_empty())
        })
    }

    /// Types that look like `type_name`, best first; those that are served before those that are not yet.
    #[must_use]
    pub fn nearest(&self, type_name: &str) -> Vec<&str> {
        let served = self
            .components
            .iter()
            .flat_map(|component| std::iter::once(&component.type_name).chain(&component.aliases));
        let mut all: Vec<&str> = Vec::new();
        for name in served.chain(&self.absent).map(String::as_str) {
            // A type may be there once for each of its versions.
            if !all.contains(&name) {
                all.push(name);
            }
        }
        nearest(&type_name.to_lowercase(), all)
    }
}

impl Component {
    /// Whether it has a version, in any case; an empty one is the default.
    #[must_use]
    pub fn has_version(&self, version: &str) -> bool {
        version.is_empty()
            || self
                .versions
                .iter()
                .any(|v| v.eq_ignore_ascii_case(version))
    }

    /// Whether the metadata API lists this capability.
    #[must_use]
    pub fn can(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|own| own == capability)
    }
}

#[cfg(test)]
mod tests {
    use super::{Catalogue, Lookup};

    #[test]
    fn the_checked_in_file_is_read_whole() {
        let catalogue = Catalogue::embedded();
        assert!(catalogue.components.len() > 10);
        assert!(
            catalogue
                .absent
                .iter()
                .any(|name| name == "state.cassandra")
        );
        assert!(catalogue.resolvers.iter().any(|name| name == "mdns"));
    }

    #[test]
    fn a_type_is_known_in_any_case_and_by_its_versions() {
        let catalogue = Catalogue::embedded();
        assert!(matches!(
            catalogue.find("State.Redis", "V1"),
            Lookup::Known(_)
        ));
        assert!(matches!(
            catalogue.find("state.redis", ""),
            Lookup::Known(_)
        ));
        assert!(matches!(
            catalogue.find("state.redis", "v9"),
            Lookup::OtherVersions(_)
        ));
        assert_eq!(catalogue.find("state.cassandra", "v1"), Lookup::Absent);
        assert_eq!(catalogue.find("state.mine", "v1"), Lookup::Unknown);
        assert_eq!(catalogue.find("states.redis", "v1"), Lookup::NoBlock);
        assert_eq!(catalogue.find("state.", "v1"), Lookup::NoBlock);
    }

    #[test]
    fn a_misspelt_type_has_neighbours() {
        assert_eq!(
            Catalogue::embedded().nearest("state.reddis")[0],
            "state.redis"
        );
    }
}
