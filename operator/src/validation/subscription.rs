//! Subscriptions of either version.

use serde_json::Value;
use trilby_crds::{Subscription, SubscriptionV1, V1ALPHA1};

use super::{Subject, decode, facts::Questions};

pub(super) fn ask(object: &Value, questions: &mut Questions) {
    if let Some(subscription) = newer(object) {
        questions.component(&subscription.spec.pubsub_name);
    }
}

/// The subscription in the newer version.
fn newer(object: &Value) -> Option<Subscription> {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    match version.ends_with(&format!("/{V1ALPHA1}")) {
        true => decode::<SubscriptionV1>(object).map(Subscription::from),
        false => decode(object),
    }
}

pub(super) fn validate(subject: &mut Subject<'_>) {
    let Some(subscription) = newer(subject.object) else {
        subject.decode::<Subscription>();
        return;
    };
    let spec = &subscription.spec;
    pubsub(subject, &spec.pubsub_name);
    let findings = &mut subject.findings;
    if spec.topic.is_empty() {
        findings.error("spec.topic", || {
            "is empty: there is nothing to subscribe to".to_owned()
        });
    }
    if spec.routes.default.is_none() && spec.routes.rules.is_empty() {
        findings.error("spec.routes", || {
            "leads nowhere: there is neither a default nor a rule".to_owned()
        });
    }
    let catches_all = spec
        .routes
        .rules
        .iter()
        .position(|rule| rule.condition.is_empty());
    for (place, rule) in spec.routes.rules.iter().enumerate() {
        let path = format!("spec.routes.rules[{place}]");
        if rule.path.is_empty() {
            findings.error(format!("{path}.path"), || "is empty".to_owned());
        }
        if catches_all.is_some_and(|first| place > first) {
            findings.error(path, || {
                "is never reached: a rule before it matches every message".to_owned()
            });
        }
    }
}

fn pubsub(subject: &mut Subject<'_>, name: &str) {
    let text = match subject.facts.components.get(name) {
        _ if name.is_empty() => "is empty".to_owned(),
        Some(None) => {
            format!("names the Component {name:?}, which does not exist in this namespace")
        }
        Some(Some(found)) if !found.starts_with("pubsub.") => {
            format!("names the Component {name:?}, which is no pub/sub but {found}")
        }
        Some(Some(_)) | None => return,
    };
    subject.findings.error("spec.pubsubname", || text);
}
