//! Resources of applications inside a store, where upstream's sidecars look for them as well.

/// What separates the parts of a key.
const SEPARATOR: &str = "||";

/// The key of a resource. `strategy` is the store's `keyPrefix` in lower case: `appid` (also when empty), `name`, `none`,
/// or a text of the user's own.
pub(super) fn of(strategy: &str, (store, app_id): (&str, &str), resource: &str) -> String {
    let prefix = match strategy {
        "none" => "",
        "name" => store,
        "" | "appid" => app_id,
        own => own,
    };
    // An application without id is told apart from nobody; a store always has a name.
    match prefix {
        "" => format!("lock{SEPARATOR}{resource}"),
        prefix => format!("lock{SEPARATOR}{prefix}{SEPARATOR}{resource}"),
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn strategies_give_upstreams_keys() {
        for (strategy, app_id, expected) in [
            ("", "app", "lock||app||r"),
            ("appid", "app", "lock||app||r"),
            ("appid", "", "lock||r"),
            ("name", "app", "lock||store||r"),
            ("none", "app", "lock||r"),
            ("namespace", "app", "lock||namespace||r"),
            ("own", "app", "lock||own||r"),
        ] {
            assert_eq!(of(strategy, ("store", app_id), "r"), expected, "{strategy}");
        }
    }
}
