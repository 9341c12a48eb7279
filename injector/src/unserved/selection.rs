//! Which pods the API server asks the injector about, by what is registered now.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::admissionregistration::v1::MutatingWebhookConfiguration,
    apimachinery::pkg::apis::meta::v1::{LabelSelector, Time},
};
use kube::core::{Selector, SelectorExt};

use crate::registration::WEBHOOK;

/// Label of every namespace, its own name: what a selector says of it can be told without asking.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Labels of an object.
pub(super) type Labels = BTreeMap<String, String>;

/// What the webhook is registered for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Selection {
    /// When it was registered, by the API server's clock.
    pub(super) since: Option<Time>,
    namespaces: LabelSelector,
    objects: LabelSelector,
}

/// Why no review of a pod takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exclusion {
    /// By the labels of its namespace.
    Namespace,
    /// By its own labels.
    Object,
}

impl Selection {
    /// That of our webhook, if it is in there.
    pub(super) fn of(configuration: &MutatingWebhookConfiguration) -> Option<Self> {
        let webhooks = configuration.webhooks.as_deref().unwrap_or_default();
        let webhook = webhooks.iter().find(|webhook| webhook.name == WEBHOOK)?;
        Some(Self {
            since: configuration.metadata.creation_timestamp.clone(),
            namespaces: webhook.namespace_selector.clone().unwrap_or_default(),
            objects: webhook.object_selector.clone().unwrap_or_default(),
        })
    }

    /// Whether more than its name must be known of a namespace.
    pub(super) fn needs_namespace_labels(&self) -> bool {
        let keys = self.namespaces.match_labels.iter().flat_map(Labels::keys);
        let expressions = self.namespaces.match_expressions.iter().flatten();
        let mut keys = keys.chain(expressions.map(|expression| &expression.key));
        keys.any(|key| key != NAMESPACE_NAME)
    }

    /// Why there is no review, if the selectors tell. `namespace` is `None` where its labels are not known, and then says
    /// nothing.
    pub(super) fn excludes(
        &self,
        namespace: Option<&Labels>,
        object: &Labels,
    ) -> Option<Exclusion> {
        if namespace.is_some_and(|labels| !matches(&self.namespaces, labels)) {
            return Some(Exclusion::Namespace);
        }
        (!matches(&self.objects, object)).then_some(Exclusion::Object)
    }
}

/// What is known of every namespace's labels.
pub(super) fn named(namespace: &str) -> Labels {
    Labels::from([(NAMESPACE_NAME.to_owned(), namespace.to_owned())])
}

/// The API server refuses selectors that cannot be read; one that we cannot read excludes nothing.
fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    Selector::try_from(selector.clone()).map_or(true, |selector| selector.matches(labels))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn selection(namespaces: Value, objects: Value) -> Selection {
        let configuration = json!({
            "metadata": {"name": "dapr-sidecar-injector"},
            "webhooks": [{
                "name": "sidecar-injector.dapr.io", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "clientConfig": {}, "namespaceSelector": namespaces, "objectSelector": objects,
            }],
        });
        Selection::of(&from_value(configuration).unwrap()).expect("our webhook is in it")
    }

    fn labels(labels: &[(&str, &str)]) -> Labels {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        labels.iter().map(owned).collect()
    }

    #[test]
    fn the_charts_own_selector_needs_names_only() {
        let selection = selection(
            json!({"matchExpressions": [
                {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "dapr-system"]},
            ]}),
            json!(null),
        );
        assert!(!selection.needs_namespace_labels());
        let excluded = |name: &str| selection.excludes(Some(&named(name)), &Labels::new());
        assert_eq!(excluded("shop"), None);
        assert_eq!(excluded("kube-system"), Some(Exclusion::Namespace));
    }

    #[test]
    fn selectors_hold_as_the_api_server_has_them() {
        let on = json!({"matchLabels": {"dapr": "on"}});
        let selection = selection(on.clone(), on);
        assert!(selection.needs_namespace_labels());
        let (on, off) = (labels(&[("dapr", "on")]), labels(&[("dapr", "off")]));
        assert_eq!(selection.excludes(Some(&on), &on), None);
        assert_eq!(
            selection.excludes(Some(&off), &on),
            Some(Exclusion::Namespace)
        );
        assert_eq!(selection.excludes(Some(&on), &off), Some(Exclusion::Object));
        assert_eq!(
            selection.excludes(None, &on),
            None,
            "what is not known excludes nothing"
        );
    }

    #[test]
    fn another_webhook_is_not_ours() {
        let configuration = json!({"metadata": {"name": "dapr-sidecar-injector"}});
        assert_eq!(Selection::of(&from_value(configuration).unwrap()), None);
    }
}
