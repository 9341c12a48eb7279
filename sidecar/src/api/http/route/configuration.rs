//! Routes of the configuration API, each in two versions.

use super::{BadEscape, Version, unescape};
use crate::api::http::group::Group;

/// An operation on a configuration store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api::http) struct ConfigurationRoute {
    pub(in crate::api::http) store: String,
    pub(in crate::api::http) operation: ConfigurationOperation,
    pub(in crate::api::http) group: Group,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api::http) enum ConfigurationOperation {
    Get,
    Subscribe,
    Unsubscribe { id: String },
}

/// The operation that a `GET` asks for.
pub(super) fn find(
    version: Version,
    rest: &[&str],
) -> Result<Option<ConfigurationRoute>, BadEscape> {
    let (name, [get, subscribe, unsubscribe]) = match version {
        Version::V1 => (
            "v1/configuration",
            [
                "/v1.0/configuration/{storeName}",
                "/v1.0/configuration/{storeName}/subscribe",
                "/v1.0/configuration/{storeName}/{configurationSubscribeID}/unsubscribe",
            ],
        ),
        Version::Alpha1 => (
            "v1alpha1/configuration",
            [
                "/v1.0-alpha1/configuration/{storeName}",
                "/v1.0-alpha1/configuration/{storeName}/subscribe",
                "/v1.0-alpha1/configuration/{storeName}/{configurationSubscribeID}/unsubscribe",
            ],
        ),
        Version::Alpha2 | Version::Beta1 => return Ok(None),
    };
    let (store, operation, template) = match rest {
        [store] => (store, ConfigurationOperation::Get, get),
        [store, "subscribe"] => (store, ConfigurationOperation::Subscribe, subscribe),
        [store, id, "unsubscribe"] => {
            let id = unescape(id)?.into_owned();
            (
                store,
                ConfigurationOperation::Unsubscribe { id },
                unsubscribe,
            )
        }
        _ => return Ok(None),
    };
    Ok(Some(ConfigurationRoute {
        store: unescape(store)?.into_owned(),
        operation,
        group: Group { name, template },
    }))
}

#[cfg(test)]
mod tests {
    use super::{ConfigurationOperation, find};
    use crate::api::http::route::Version;

    #[test]
    fn every_operation_is_there_in_both_versions() {
        for (version, prefix) in [(Version::V1, "/v1.0/"), (Version::Alpha1, "/v1.0-alpha1/")] {
            let id = "1".to_owned();
            for (rest, operation) in [
                (&["a%20b"][..], ConfigurationOperation::Get),
                (&["a+b", "subscribe"], ConfigurationOperation::Subscribe),
                (
                    &["a b", "1", "unsubscribe"],
                    ConfigurationOperation::Unsubscribe { id },
                ),
            ] {
                let found = find(version, rest).unwrap().unwrap();
                assert_eq!((found.store.as_str(), found.operation), ("a b", operation));
                assert!(found.group.template.starts_with(prefix));
            }
        }
        assert_eq!(find(Version::V1, &["a", "b"]), Ok(None));
        assert_eq!(find(Version::Beta1, &["a"]), Ok(None));
    }
}
