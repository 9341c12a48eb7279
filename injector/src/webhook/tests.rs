use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use serde_json::{from_value, json};

use super::{Seen, judge, patch};

const PEM: &[u8] = b"anchors";

fn configuration(webhooks: serde_json::Value) -> MutatingWebhookConfiguration {
    from_value(json!({"metadata": {"name": "dapr-sidecar-injector"}, "webhooks": webhooks}))
        .unwrap()
}

fn webhook(name: &str, bundle: Option<&str>) -> serde_json::Value {
    json!({
        "name": name,
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "clientConfig": {"url": "https://example/mutate", "caBundle": bundle},
    })
}

#[test]
fn our_webhook_is_found_by_name_wherever_it_stands() {
    let other = webhook("other.example", None);
    for (bundle, seen) in [
        (Some("YW5jaG9ycw=="), Seen::Right),
        (Some("b3RoZXI="), Seen::Wrong),
        (None, Seen::Wrong),
    ] {
        let ours = webhook("sidecar-injector.dapr.io", bundle);
        assert_eq!(judge(&configuration(json!([other, ours])), PEM), seen);
    }
    assert_eq!(judge(&configuration(json!([other])), PEM), Seen::Foreign);
    assert_eq!(judge(&configuration(json!(null)), PEM), Seen::Foreign);
}

#[test]
fn only_the_bundle_of_our_webhook_is_claimed() {
    let webhooks = &patch("anchors")["webhooks"];
    let wanted = json!([{
        "name": "sidecar-injector.dapr.io",
        "clientConfig": {"caBundle": "YW5jaG9ycw=="},
    }]);
    assert_eq!(*webhooks, wanted);
}
