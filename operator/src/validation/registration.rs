//! Where the API server finds the validation: in a webhook configuration that charts make.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use k8s_openapi::{ByteString, api::admissionregistration::v1::ValidatingWebhookConfiguration};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use trilby_webhook::{Sight, Target};

/// Name of our webhook in the configuration.
const WEBHOOK: &str = "validation.dapr.io";
/// Who owns `caBundle` in the eyes of the API server.
const FIELD_MANAGER: &str = "dapr-operator";

/// See the module.
pub(crate) struct Registration;

impl Target for Registration {
    type Object = ValidatingWebhookConfiguration;

    const NAME: &'static str = "dapr-operator-validation";
    const MISSING: &'static str = "has no webhook validation.dapr.io";

    fn judge(&self, object: &ValidatingWebhookConfiguration, pem: &[u8]) -> Sight {
        let webhooks = object.webhooks.as_deref().unwrap_or_default();
        match webhooks.iter().find(|webhook| webhook.name == WEBHOOK) {
            None => Sight::Foreign,
            Some(webhook) => match &webhook.client_config.ca_bundle {
                Some(ByteString(bundle)) if bundle == pem => Sight::Right,
                _ => Sight::Wrong,
            },
        }
    }

    /// One field of one webhook, found by name: the rest is the chart's.
    fn patch(&self, pem: &str) -> (PatchParams, Patch<Value>) {
        let patch = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": Self::NAME},
            "webhooks": [{"name": WEBHOOK, "clientConfig": {"caBundle": STANDARD.encode(pem)}}],
        });
        (
            PatchParams::apply(FIELD_MANAGER).force(),
            Patch::Apply(patch),
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::from_value;

    use super::*;

    fn judge(webhooks: Value) -> Sight {
        let object = json!({"metadata": {"name": Registration::NAME}, "webhooks": webhooks});
        Registration.judge(&from_value(object).unwrap(), b"anchors")
    }

    fn webhook(name: &str, bundle: Option<&str>) -> Value {
        json!({
            "name": name,
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "clientConfig": {"url": "https://example/validate", "caBundle": bundle},
        })
    }

    #[test]
    fn our_webhook_is_found_by_name_wherever_it_stands() {
        let other = webhook("other.example", None);
        for (bundle, sight) in [
            (Some("YW5jaG9ycw=="), Sight::Right),
            (Some("b3RoZXI="), Sight::Wrong),
            (None, Sight::Wrong),
        ] {
            assert_eq!(judge(json!([other, webhook(WEBHOOK, bundle)])), sight);
        }
        assert_eq!(judge(json!([other])), Sight::Foreign);
        assert_eq!(judge(json!(null)), Sight::Foreign);
    }

    #[test]
    fn only_the_bundle_of_our_webhook_is_claimed() {
        let (_, Patch::Apply(patch)) = Registration.patch("anchors") else {
            panic!("fields are applied");
        };
        let claimed = json!([{"name": WEBHOOK, "clientConfig": {"caBundle": "YW5jaG9ycw=="}}]);
        assert_eq!(patch["webhooks"], claimed);
    }
}
