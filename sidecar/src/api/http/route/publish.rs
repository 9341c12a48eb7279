//! Routes of publishing.

use super::Version;
use crate::api::http::escape::{BadEscape, unescape};
use crate::api::http::group::Group;

/// Where messages are published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api::http) struct PublishRoute {
    pub(in crate::api::http) pubsub: String,
    /// The rest of the path: a topic may have slashes.
    pub(in crate::api::http) topic: String,
    /// Several messages in one request.
    pub(in crate::api::http) bulk: bool,
    pub(in crate::api::http) group: Group,
}

pub(super) fn find(version: Version, rest: &[&str]) -> Result<Option<PublishRoute>, BadEscape> {
    let (group, pubsub, topic, bulk) = match (version, rest) {
        (Version::V1, ["bulk", pubsub, topic @ ..]) if !topic.is_empty() => (
            ("v1/publish", "/v1.0/publish/bulk/{pubsubname}/*"),
            pubsub,
            topic,
            true,
        ),
        (Version::Alpha1, ["bulk", pubsub, topic @ ..]) if !topic.is_empty() => (
            (
                "v1alpha1/publish",
                "/v1.0-alpha1/publish/bulk/{pubsubname}/*",
            ),
            pubsub,
            topic,
            true,
        ),
        (Version::V1, [pubsub, topic @ ..]) if !topic.is_empty() => (
            ("v1/publish", "/v1.0/publish/{pubsubname}/*"),
            pubsub,
            topic,
            false,
        ),
        _ => return Ok(None),
    };
    let (name, template) = group;
    Ok(Some(PublishRoute {
        pubsub: unescape(pubsub)?.into_owned(),
        topic: unescape(&topic.join("/"))?.into_owned(),
        bulk,
        group: Group { name, template },
    }))
}

#[cfg(test)]
mod tests {
    use super::{Version, find};

    #[test]
    fn a_topic_is_the_rest_of_the_path() {
        let route = find(Version::V1, &["p", "a", "b%2Fc"]).unwrap().unwrap();
        assert_eq!(
            (route.pubsub.as_str(), route.topic.as_str()),
            ("p", "a/b/c")
        );
        assert!(!route.bulk);
    }

    #[test]
    fn bulk_publications_have_two_versions() {
        for (version, name) in [
            (Version::V1, "v1/publish"),
            (Version::Alpha1, "v1alpha1/publish"),
        ] {
            let route = find(version, &["bulk", "p", "t"]).unwrap().unwrap();
            assert_eq!((route.topic.as_str(), route.bulk), ("t", true));
            assert_eq!(route.group.name, name);
        }
        assert_eq!(find(Version::Alpha1, &["p", "t"]), Ok(None));
    }

    #[test]
    fn without_a_topic_there_is_no_route() {
        assert_eq!(find(Version::V1, &["p"]), Ok(None));
        let topic_of_bulk = find(Version::V1, &["bulk", "p"]).unwrap().unwrap();
        assert_eq!(topic_of_bulk.pubsub, "bulk");
    }
}
