//! The Configuration, as far as this crate reads it.

use trilby_crds::{Configuration, ConfigurationSpec};

/// The feature that lets resources change while the sidecar runs; on unless switched off.
const HOT_RELOAD: &str = "HotReload";

/// Types that the Configuration forbids.
pub(crate) fn denied_types(spec: &ConfigurationSpec) -> Vec<String> {
    let components = spec.components.as_ref();
    components
        .map(|components| components.deny.clone())
        .unwrap_or_default()
}

/// Whether changes are followed. The last mention counts.
pub(crate) fn is_hot_reload_on(spec: &ConfigurationSpec) -> bool {
    let mut latest_first = spec.features.iter().rev();
    let mention = latest_first.find(|feature| feature.name == HOT_RELOAD);
    mention.is_none_or(|feature| feature.enabled == Some(true))
}

/// Decodes one Configuration, JSON.
pub(crate) fn decode(json: &[u8]) -> Result<Configuration, String> {
    if json.is_empty() {
        return Err("it is empty".to_owned());
    }
    // Serde would take a list for a struct whose fields all have defaults.
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err("it is not an object".to_owned());
    }
    crate::lenient::from_slice(json).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::{decode, denied_types, is_hot_reload_on};

    fn spec(json: &str) -> trilby_crds::ConfigurationSpec {
        decode(json.as_bytes()).unwrap().spec
    }

    #[test]
    fn hot_reload_is_on_unless_the_last_mention_says_no() {
        let on = |features: &str| {
            is_hot_reload_on(&spec(&format!(r#"{{"spec":{{"features":{features}}}}}"#)))
        };
        assert!(on("[]"));
        assert!(!on(r#"[{"name":"HotReload","enabled":false}]"#));
        assert!(on(
            r#"[{"name":"HotReload","enabled":false},{"name":"HotReload","enabled":true}]"#
        ));
        assert!(on(r#"[{"name":"Other","enabled":false}]"#));
    }

    #[test]
    fn denied_types_are_read() {
        assert!(denied_types(&spec("{}")).is_empty());
        let denied = denied_types(&spec(r#"{"spec":{"components":{"deny":["state.redis"]}}}"#));
        assert_eq!(denied, ["state.redis"]);
    }

    #[test]
    fn nothing_is_no_configuration() {
        assert_eq!(decode(b"").unwrap_err(), "it is empty");
        assert!(decode(b"[]").is_err());
    }
}
