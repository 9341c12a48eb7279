//! Topics of a component that is shared by namespaces: each has its own, by a prefix without separator.

/// The topic as the broker has it. `namespace`: that of the sidecar, where the component separates namespaces.
#[must_use]
pub fn physical(namespace: Option<&str>, topic: &str) -> String {
    match namespace {
        Some(namespace) => format!("{namespace}{topic}"),
        None => topic.to_owned(),
    }
}

/// The topic as apps know it, from one as the broker has it.
#[must_use]
pub fn logical<'a>(namespace: Option<&str>, topic: &'a str) -> &'a str {
    match namespace {
        Some(namespace) => topic.strip_prefix(namespace).unwrap_or(topic),
        None => topic,
    }
}

#[cfg(test)]
mod tests {
    use super::{logical, physical};

    #[test]
    fn a_namespace_stands_before_its_topics() {
        assert_eq!(physical(Some("ns"), "orders"), "nsorders");
        assert_eq!(logical(Some("ns"), "nsorders"), "orders");
        assert_eq!(logical(Some("ns"), "orders-ns"), "orders-ns");
        assert_eq!(physical(None, "a"), "a");
        assert_eq!(logical(None, "a"), "a");
    }
}
