//! Keys of applications inside a store.

/// What separates the parts of a key; applications cannot use it.
const SEPARATOR: &str = "||";

/// Whether a key cannot be stored.
pub fn illegal_key(key: &str) -> bool {
    key.contains(SEPARATOR)
}

/// What stands before the keys of one application in one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPrefix(Option<String>);

impl KeyPrefix {
    /// From the store's `keyPrefix`: `appid` (also when empty), `name`, `namespace`, `none`, or a text of the
    /// user's own, which upstream lower-cases. Without a namespace, `namespace` is `appid`.
    pub fn of(strategy: &str, store: &str, (namespace, app_id): (&str, &str)) -> Self {
        Self(match strategy.to_lowercase().as_str() {
            "" | "appid" => Some(app_id.to_owned()),
            "name" => Some(store.to_owned()),
            "namespace" if namespace.is_empty() => Some(app_id.to_owned()),
            "namespace" => Some(format!("{namespace}.{app_id}")),
            "none" => None,
            own => Some(own.to_owned()),
        })
    }

    /// What the store's keys start with, the separator included; `None` for a prefix that contains the separator.
    pub fn text(&self) -> Option<String> {
        match &self.0 {
            None => Some(String::new()),
            Some(prefix) if illegal_key(prefix) => None,
            Some(prefix) => Some(format!("{prefix}{SEPARATOR}")),
        }
    }

    /// The store's key; `None` for a key or prefix that contains the separator.
    pub fn apply(&self, key: &str) -> Option<String> {
        if illegal_key(key) {
            return None;
        }
        self.text().map(|prefix| prefix + key)
    }
}

#[cfg(test)]
mod tests {
    use super::KeyPrefix;

    #[test]
    fn strategies_give_upstreams_keys() {
        for (strategy, expected) in [
            ("", "app||k"),
            ("AppId", "app||k"),
            ("name", "store||k"),
            ("namespace", "ns.app||k"),
            ("none", "k"),
            ("Own-Prefix", "own-prefix||k"),
        ] {
            let prefix = KeyPrefix::of(strategy, "store", ("ns", "app"));
            assert_eq!(prefix.apply("k").as_deref(), Some(expected), "{strategy}");
        }
        assert_eq!(
            KeyPrefix::of("namespace", "store", ("", "app"))
                .apply("k")
                .as_deref(),
            Some("app||k")
        );
    }

    #[test]
    fn separator_in_a_key_or_prefix_is_refused() {
        assert!(
            KeyPrefix::of("none", "s", ("", "a"))
                .apply("a||b")
                .is_none()
        );
        assert!(KeyPrefix::of("x||y", "s", ("", "a")).apply("k").is_none());
    }
}
