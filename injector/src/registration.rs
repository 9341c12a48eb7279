//! Where the API server finds the injector: a webhook in a configuration that charts make.

use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::{ByteString, api::admissionregistration::v1::MutatingWebhookConfiguration};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use trilby_webhook::{Sight, Target};

/// Name of our webhook in the configuration.
pub(crate) const WEBHOOK: &str = "sidecar-injector.dapr.io";
/// Who owns `caBundle` in the eyes of the API server.
const FIELD_MANAGER: &str = "dapr-sidecar-injector";

/// See the module.
pub(crate) struct Registration;

impl Target for Registration {
    type Object = MutatingWebhookConfiguration;

    const NAME: &'static str = "dapr-sidecar-injector";
    const MISSING: &'static str = "has no webhook sidecar-injector.dapr.io";

    fn judge(&self, object: &MutatingWebhookConfiguration, pem: &[u8]) -> Sight {
        let webhooks = object.webhooks.as_deref().unwrap_or_default();
        match webhooks.iter().find(|webhook| webhook.name == WEBHOOK) {
            None => Sight::Foreign,
            Some(webhook) => match &webhook.client_config.ca_bundle {
                Some(ByteString(bundle)) if bundle == pem => Sight::Right,
                _ => Sight::Wrong,
            },
        }
    }

    /// Sets one field of one webhook, found by name. Written by hand, because the typed object would also set what it
    /// requires of a complete webhook.
    fn patch(&self, pem: &str) -> (PatchParams, Patch<Value>) {
        let patch = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": Self::NAME},
            "webhooks": [{"name": WEBHOOK, "clientConfig": {"caBundle": STANDARD.encode(pem)}}],
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        (params, Patch::Apply(patch))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::from_value;

    use super::*;

    fn configuration(webhooks: Value) -> MutatingWebhookConfiguration {
        from_value(json!({"metadata": {"name": "dapr-sidecar-injector"}, "webhooks": webhooks}))
            .unwrap()
    }

    fn webhook(name: &str, bundle: Option<&str>) -> Value {
        json!({
            "name": name,
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "clientConfig": {"url": "https://example/mutate", "caBundle": bundle},
        })
    }

    #[test]
    fn our_webhook_is_found_by_name_wherever_it_stands() {
        let judge = |webhooks| Registration.judge(&configuration(webhooks), b"anchors");
        let other = webhook("other.example", None);
        for (bundle, seen) in [
            (Some("YW5jaG9ycw=="), Sight::Right),
            (Some("b3RoZXI="), Sight::Wrong),
            (None, Sight::Wrong),
        ] {
            let ours = webhook("sidecar-injector.dapr.io", bundle);
            assert_eq!(judge(json!([other, ours])), seen);
        }
        assert_eq!(judge(json!([other])), Sight::Foreign);
        assert_eq!(judge(json!(null)), Sight::Foreign);
    }

    #[test]
    fn only_the_bundle_of_our_webhook_is_claimed() {
        let (_, Patch::Apply(patch)) = Registration.patch("anchors") else {
            panic!("fields are applied");
        };
        let wanted = json!([{
            "name": "sidecar-injector.dapr.io",
            "clientConfig": {"caBundle": "YW5jaG9ycw=="},
        }]);
        assert_eq!(patch["webhooks"], wanted);
    }
}
