//! A broker in service.

use std::{collections::BTreeSet, fmt, sync::Arc};

use schemars::JsonSchema;
use serde::Deserialize;
use tokio_util::sync::DropGuard;
use trilby_component_catalogue::Field;
use trilby_components::{
    definition,
    metadata::{Metadata, Schema},
    pubsub::PubSub,
};

use crate::{initialise::Failure, manifest::Manifest};

/// A property with this in its value makes a broker's topics those of one namespace.
const NAMESPACE: &str = "{namespace}";

/// Metadata of any broker that the sidecar uses itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Written {
    /// The only topics that any application may publish and subscribe to: `a,b`. All, if it is empty.
    allowed_topics: Option<String>,
    /// Topics that an application may only use when its scopes name them: `a,b`.
    protected_topics: Option<String>,
    /// The topics that an application may publish to: `app1=a,b;app2=`. An application that is not named may publish to
    /// any that is not protected.
    publishing_scopes: Option<String>,
    /// The topics that an application may subscribe to, likewise.
    subscription_scopes: Option<String>,
}

impl Schema for Written {}

/// What every broker takes beside its own settings.
#[must_use]
pub fn pubsub_fields() -> Vec<Field> {
    definition::fields::<Written>()
}

/// What an application may do with the topics of a broker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes {
    /// None: all are.
    allowed: BTreeSet<String>,
    protected: BTreeSet<String>,
    publishing: BTreeSet<String>,
    subscription: BTreeSet<String>,
}

/// What the sidecar itself does around a broker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PubSubSettings {
    scopes: Scopes,
    namespaced: bool,
}

/// A broker and the sidecar's settings for it. It is closed after its last clone is gone.
pub struct PubSubComponent {
    /// The component's name.
    pub name: String,
    /// The broker.
    pub broker: Arc<dyn PubSub>,
    pub(super) settings: PubSubSettings,
    pub(super) _in_use: DropGuard,
}

// === impl PubSubSettings ===

impl PubSubSettings {
    /// Takes the sidecar's own settings out of a broker's metadata.
    pub(crate) fn split(
        manifest: &Manifest,
        app_id: &str,
        metadata: &Metadata,
    ) -> Result<(Self, Metadata), Failure> {
        let (written, rest) = metadata
            .split::<Written>()
            .map_err(|error| Failure::lasting(error.to_string()))?;
        let properties = &manifest.properties;
        let settings = Self {
            scopes: Scopes::of(&written, app_id),
            namespaced: properties
                .iter()
                .any(|property| property.value.contains(NAMESPACE)),
        };
        Ok((settings, rest))
    }
}

// === impl Scopes ===

impl Scopes {
    fn of(written: &Written, app_id: &str) -> Self {
        let topics = |text: &Option<String>| topics(text.as_deref().unwrap_or_default());
        let scoped = |text: &Option<String>| scoped(text.as_deref().unwrap_or_default(), app_id);
        Self {
            allowed: topics(&written.allowed_topics),
            protected: topics(&written.protected_topics),
            publishing: scoped(&written.publishing_scopes),
            subscription: scoped(&written.subscription_scopes),
        }
    }

    /// Whether the application may publish to a topic.
    #[must_use]
    pub fn may_publish(&self, topic: &str) -> bool {
        self.may(topic, &self.publishing)
    }

    /// Whether the application may subscribe to a topic.
    #[must_use]
    pub fn may_subscribe(&self, topic: &str) -> bool {
        self.may(topic, &self.subscription)
    }

    fn may(&self, topic: &str, scope: &BTreeSet<String>) -> bool {
        let allowed = self.allowed.is_empty() || self.allowed.contains(topic);
        let free = scope.is_empty() && !self.protected.contains(topic);
        allowed && (free || scope.contains(topic))
    }
}

/// `a, b`: blanks mean nothing.
fn topics(text: &str) -> BTreeSet<String> {
    let text = text.replace(' ', "");
    if text.is_empty() {
        return BTreeSet::new();
    }
    text.split(',').map(str::to_owned).collect()
}

/// The topics of one application in `app1=a,b;app2=`. An application without topics has the one that has no name, which
/// is none: it may use no topic at all.
fn scoped(text: &str, app_id: &str) -> BTreeSet<String> {
    let text = text.replace(' ', "");
    let of_app = text.split(';').filter_map(|entry| {
        let mut parts = entry.split('=');
        let (app, topics) = (parts.next()?, parts.next()?);
        (app == app_id).then_some(topics)
    });
    of_app
        .flat_map(|topics| topics.split(','))
        .map(str::to_owned)
        .collect()
}

// === impl PubSubComponent ===

impl PubSubComponent {
    /// What the application may do with its topics.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.settings.scopes
    }

    /// Whether its topics are those of one namespace.
    #[must_use]
    pub fn is_namespaced(&self) -> bool {
        self.settings.namespaced
    }
}

impl fmt::Debug for PubSubComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PubSubComponent({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::{Scopes, Written};

    fn scopes(written: &Written) -> Scopes {
        Scopes::of(written, "me")
    }

    fn written(allowed: &str, protected: &str, publishing: &str) -> Written {
        Written {
            allowed_topics: Some(allowed.to_owned()),
            protected_topics: Some(protected.to_owned()),
            publishing_scopes: Some(publishing.to_owned()),
            subscription_scopes: None,
        }
    }

    #[test]
    fn without_scopes_everything_is_allowed() {
        assert!(scopes(&Written::default()).may_publish("any"));
        assert!(scopes(&written("", "", "you=a")).may_publish("any"));
    }

    #[test]
    fn an_application_that_is_named_has_its_topics_only() {
        let scopes = scopes(&written("", "", "you=a; me = b, c;me=d"));
        assert!(
            ["b", "c", "d"]
                .iter()
                .all(|topic| scopes.may_publish(topic))
        );
        assert!(!scopes.may_publish("a"));
        assert!(scopes.may_subscribe("a"), "the other direction is free");
    }

    #[test]
    fn one_without_topics_has_none() {
        let scopes = scopes(&written("", "", "me="));
        assert!(!scopes.may_publish("a"));
    }

    #[test]
    fn a_protected_topic_has_to_be_named() {
        let free = scopes(&written("", "p", "you=p"));
        assert!(!free.may_publish("p"));
        assert!(free.may_publish("a"));
        assert!(scopes(&written("", "p", "me=p")).may_publish("p"));
    }

    #[test]
    fn what_is_not_allowed_nobody_may_use() {
        let scopes = scopes(&written("a, b", "", "me=a,c"));
        assert!(scopes.may_publish("a"));
        assert!(!scopes.may_publish("b") && !scopes.may_publish("c"));
        assert!(!scopes.may_subscribe("c"));
    }
}
