//! Name resolvers, which the Configuration asks for: they are no components, and have no block.

use std::sync::Arc;

use trilby_component_catalogue::nearest;

use super::{CreateError, Registry};
use crate::name_resolution::ResolverBackend;

/// What upstream's types of resolvers start with.
const PREFIX: &str = "nameresolution.";

/// Resolvers behind a feature of the sidecar.
const FEATURES: &[(&str, &str)] = &[
    ("consul", "consul"),
    ("hashicorp.consul", "consul"),
    ("mdns", "mdns"),
    ("sqlite", "sqlite"),
];

/// Resolvers that upstream has and nobody has built yet.
const NOT_YET: &[&str] = &["aws.cloudmap"];

/// The versions of a type that never had a second one.
const VERSIONS: &[&str] = &["", "v0", "v1"];

impl Registry {
    /// Adds `resolvers`; a later one of the same name replaces an earlier one.
    #[must_use]
    pub fn with_resolvers(mut self, resolvers: Vec<ResolverBackend>) -> Self {
        for resolver in resolvers.into_iter().map(Arc::new) {
            for name in resolver.names() {
                self.resolvers.insert(name, Arc::clone(&resolver));
            }
        }
        self
    }

    /// The name resolver of a name and version, both in any case; an empty version is the default one.
    ///
    /// # Errors
    /// Every [`CreateError`] about a type, none of initialisation.
    pub fn resolver(&self, name: &str, version: &str) -> Result<Arc<ResolverBackend>, CreateError> {
        let lower = name.to_lowercase();
        let short = lower.strip_prefix(PREFIX).unwrap_or(&lower);
        let has_version = VERSIONS.contains(&version.to_lowercase().as_str());
        match self.resolvers.get(short) {
            Some(resolver) if has_version => Ok(Arc::clone(resolver)),
            _ => Err(self.absent_resolver(short, version)),
        }
    }

    /// The names of the resolvers, aliases included, and of those that upstream has and nobody has built yet.
    #[must_use]
    pub fn resolver_names(&self) -> (Vec<&'static str>, &'static [&'static str]) {
        let mut names: Vec<_> = self.resolvers.keys().copied().collect();
        names.sort_unstable();
        (names, NOT_YET)
    }

    fn absent_resolver(&self, name: &str, version: &str) -> CreateError {
        let full = || format!("{PREFIX}{name}");
        let absent = !self.resolvers.contains_key(name);
        if let Some((_, feature)) = FEATURES.iter().find(|(found, _)| absent && *found == name) {
            return CreateError::CompiledOut {
                type_name: full(),
                feature,
            };
        }
        if absent && NOT_YET.contains(&name) {
            return CreateError::NotBuiltYet(full());
        }
        let version = if version.is_empty() { "v1" } else { version };
        let names = self.resolvers.keys().map(|name| (*name).to_owned());
        CreateError::UnknownResolver {
            name: name.to_owned(),
            version: version.to_owned(),
            nearest: nearest(name, names.filter(|_| absent)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{CreateError, Registry, ResolverBackend};
    use crate::registry::InitError;

    fn registry() -> Registry {
        let refuse = |_, _: Value| async { Err(InitError::Invalid("no".to_owned())) };
        let backend = ResolverBackend::new("by.hand", refuse).aliases(&["hand"]);
        Registry::default().with_resolvers(vec![backend])
    }

    fn refusal(name: &str, version: &str) -> String {
        registry().resolver(name, version).unwrap_err().to_string()
    }

    #[test]
    fn a_resolver_answers_to_its_names_in_any_case() {
        for (name, version) in [
            ("by.hand", ""),
            ("Hand", "V1"),
            ("nameresolution.hand", "v0"),
        ] {
            assert!(
                registry().resolver(name, version).is_ok(),
                "{name}/{version}"
            );
        }
    }

    #[test]
    fn an_unknown_resolver_is_refused_with_its_neighbours() {
        assert_eq!(
            refusal("handy", ""),
            "couldn't find name resolver handy/v1. Did you mean hand?"
        );
        assert_eq!(refusal("hand", "v2"), "couldn't find name resolver hand/v2");
    }

    #[test]
    fn a_resolver_that_only_upstream_has_says_so() {
        let error = registry().resolver("aws.cloudmap", "v1").unwrap_err();
        assert!(matches!(error, CreateError::NotBuiltYet(_)), "{error}");
    }

    #[test]
    fn a_resolver_behind_a_feature_names_the_feature() {
        assert_eq!(
            refusal("mdns", ""),
            "nameresolution.mdns is not built into this sidecar: it was built without the feature \"mdns\""
        );
    }
}
