//! Where the API server finds the conversion webhook: in the definition of Subscriptions.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use k8s_openapi::{
    ByteString,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        CustomResourceDefinition, WebhookClientConfig,
    },
};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use trilby_webhook::{Sight, Target};

/// Who writes, in the eyes of the API server.
const FIELD_MANAGER: &str = "dapr-operator";

/// See the module. Definitions are the cluster's: the manifest cannot know in which namespace the operator runs.
pub(crate) struct Registration {
    /// The operator's namespace.
    pub(crate) namespace: String,
}

impl Target for Registration {
    type Object = CustomResourceDefinition;

    const NAME: &'static str = "subscriptions.dapr.io";
    const MISSING: &'static str =
        "has no conversion by a service: Subscriptions of v1alpha1 cannot be applied";

    fn judge(&self, object: &CustomResourceDefinition, pem: &[u8]) -> Sight {
        let config = client_config(object);
        let Some((config, service)) =
            config.and_then(|config| Some((config, config.service.as_ref()?)))
        else {
            return Sight::Foreign;
        };
        let trusts = matches!(&config.ca_bundle, Some(ByteString(bundle)) if bundle == pem);
        if trusts && service.namespace == self.namespace {
            Sight::Right
        } else {
            Sight::Wrong
        }
    }

    /// Two fields and no more: the rest is the manifest's, which others apply.
    fn patch(&self, pem: &str) -> (PatchParams, Patch<Value>) {
        let config = json!({
            "caBundle": STANDARD.encode(pem),
            "service": {"namespace": self.namespace},
        });
        let patch = json!({"spec": {"conversion": {"webhook": {"clientConfig": config}}}});
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        (params, Patch::Merge(patch))
    }
}

fn client_config(definition: &CustomResourceDefinition) -> Option<&WebhookClientConfig> {
    let conversion = definition.spec.conversion.as_ref()?;
    conversion.webhook.as_ref()?.client_config.as_ref()
}

#[cfg(test)]
mod tests {
    use trilby_crds::manifests;

    use super::*;

    const OURS: Registration = Registration {
        namespace: String::new(),
    };

    fn definition() -> CustomResourceDefinition {
        let all = manifests().into_iter().map(|manifest| manifest.definition);
        let mut ours = all
            .filter(|definition| definition.metadata.name.as_deref() == Some(Registration::NAME));
        ours.next().expect("one of Dapr's kinds")
    }

    fn config(definition: &mut CustomResourceDefinition) -> &mut WebhookClientConfig {
        let conversion = definition.spec.conversion.as_mut().unwrap();
        let webhook = conversion.webhook.as_mut().unwrap();
        webhook.client_config.as_mut().unwrap()
    }

    #[test]
    fn a_definition_as_it_is_applied_is_not_right_yet() {
        assert_eq!(OURS.judge(&definition(), b"anchors"), Sight::Wrong);
    }

    #[test]
    fn both_the_namespace_and_the_bundle_have_to_be_ours() {
        let ours = Registration {
            namespace: "dapr-system".to_owned(),
        };
        for (namespace, bundle, sight) in [
            ("dapr-system", "anchors", Sight::Right),
            ("dapr-system", "others", Sight::Wrong),
            ("replaceme", "anchors", Sight::Wrong),
        ] {
            let mut definition = definition();
            let config = config(&mut definition);
            config.ca_bundle = Some(ByteString(bundle.into()));
            config.service.as_mut().unwrap().namespace = namespace.to_owned();
            assert_eq!(ours.judge(&definition, b"anchors"), sight);
        }
    }

    #[test]
    fn a_definition_with_another_conversion_is_left_alone() {
        let mut elsewhere = definition();
        config(&mut elsewhere).service = None;
        assert_eq!(OURS.judge(&elsewhere, b"anchors"), Sight::Foreign);
        let mut none = definition();
        none.spec.conversion = None;
        assert_eq!(OURS.judge(&none, b"anchors"), Sight::Foreign);
    }
}
