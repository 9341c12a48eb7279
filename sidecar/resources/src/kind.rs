//! The kinds of resources, and what a source says about those of one kind.

use std::{collections::HashSet, fmt};

use bytes::Bytes;
use serde::Deserialize;
use trilby_crds::{
    API_VERSION_V1ALPHA1, GROUP, HttpEndpointSpec, McpServerSpec, ResiliencySpec, Spec,
    SubscriptionSpec, V1ALPHA1, V2ALPHA1, WorkflowAccessPolicySpec,
};

/// A kind that is loaded and followed. Configurations are not among them: one is named by flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Component,
    Resiliency,
    HttpEndpoint,
    Subscription,
    McpServer,
    WorkflowAccessPolicy,
}

/// What a source says about the resources of one kind; each as JSON.
#[derive(Debug)]
pub(crate) enum Told {
    /// All that there are; others are gone, except for those in `newer`, about which something newer was said.
    Snapshot {
        all: Vec<Bytes>,
        /// Names to leave alone.
        newer: HashSet<String>,
    },
    /// One is there, or changed.
    Changed(Bytes),
    /// One is gone.
    Gone(String),
    /// The source cannot say anything, and why; for an error if that lasts too long.
    Problem(String),
}

/// What is read even of an object that is not of its kind.
#[derive(Deserialize)]
struct Named {
    metadata: Metadata,
}

/// What every object says of itself.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    /// Its name.
    pub(crate) name: String,
}

// === impl Kind ===

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Component,
        Self::Resiliency,
        Self::HttpEndpoint,
        Self::Subscription,
        Self::McpServer,
        Self::WorkflowAccessPolicy,
    ];

    /// `kind` of its resources.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Component => "Component",
            Self::Resiliency => ResiliencySpec::KIND,
            Self::HttpEndpoint => HttpEndpointSpec::KIND,
            Self::Subscription => SubscriptionSpec::KIND,
            Self::McpServer => McpServerSpec::KIND,
            Self::WorkflowAccessPolicy => WorkflowAccessPolicySpec::KIND,
        }
    }

    /// The kind that an object says to be.
    pub(crate) fn of(api_version: &str, kind: &str) -> Option<Self> {
        let version = api_version.strip_prefix(GROUP)?.strip_prefix('/')?;
        let mut kinds = Self::ALL.into_iter();
        kinds.find(|one| {
            let versions: &[&str] = match one {
                Self::Subscription => &[V1ALPHA1, V2ALPHA1],
                _ => &[V1ALPHA1],
            };
            one.name() == kind && versions.contains(&version)
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What one object, JSON, says of itself; an error when it does not say its name.
pub(crate) fn metadata_of(json: &[u8]) -> Result<Metadata, serde_json::Error> {
    crate::lenient::from_slice::<Named>(json).map(|named| named.metadata)
}

/// Whether an object is of the older version of its kind.
pub(crate) fn is_v1alpha1(json: &[u8]) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Versioned {
        api_version: String,
    }
    serde_json::from_slice::<Versioned>(json)
        .is_ok_and(|versioned| versioned.api_version == API_VERSION_V1ALPHA1)
}

/// Names stand in paths of the API.
pub(crate) fn problem_with(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("is empty"),
        "." | ".." => Some("cannot stand in a path"),
        name if name.contains(['/', '%']) => {
            Some("contains '/' or '%', which cannot stand in a path")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn a_kind_is_told_by_name_and_version() {
        let of = |version: &str, kind| Kind::of(version, kind);
        assert_eq!(
            of("dapr.io/v1alpha1", "HTTPEndpoint"),
            Some(Kind::HttpEndpoint)
        );
        assert_eq!(
            of("dapr.io/v1alpha1", "Subscription"),
            Some(Kind::Subscription)
        );
        assert_eq!(
            of("dapr.io/v2alpha1", "Subscription"),
            Some(Kind::Subscription)
        );
        assert_eq!(of("dapr.io/v2alpha1", "Component"), None);
        assert_eq!(of("dapr.io/v1alpha1", "Configuration"), None);
        assert_eq!(of("apps/v1", "Component"), None);
    }
}
