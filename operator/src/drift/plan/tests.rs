use kube::core::ObjectMeta;
use trilby_crds::manifests;

use super::*;

fn definition(name: &str) -> CustomResourceDefinition {
    let mut all = manifests().into_iter().map(|manifest| manifest.definition);
    let found = all.find(|it| it.metadata.name.as_deref() == Some(name));
    found.expect("one of Dapr's kinds")
}

fn spec() -> Value {
    serde_json::to_value(definition("components.dapr.io").spec).unwrap()
}

/// The properties of components.
fn properties(spec: &mut Value) -> &mut serde_json::Map<String, Value> {
    let schema = &mut spec["versions"][0]["schema"]["openAPIV3Schema"];
    schema["properties"].as_object_mut().unwrap()
}

fn older() -> Value {
    let mut spec = spec();
    properties(&mut spec).remove("scopes");
    spec
}

fn texts(differences: &[Difference]) -> Vec<String> {
    differences.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_not_there_is_created() {
    assert_eq!(plan(&spec(), None), Plan::Create);
}

#[test]
fn a_definition_that_lacks_nothing_is_left_even_if_it_has_more() {
    let mut newer = spec();
    properties(&mut newer).insert("more".to_owned(), json!({"type": "string"}));
    let mut version = newer["versions"][0].clone();
    version["name"] = "v2".into();
    newer["versions"].as_array_mut().unwrap().push(version);
    assert_eq!(plan(&spec(), Some(&spec())), Plan::Leave);
    assert_eq!(plan(&spec(), Some(&newer)), Plan::Leave);
}

#[test]
fn one_that_lacks_something_is_replaced_and_what_goes_is_named() {
    let mut found = older();
    properties(&mut found).insert("more".to_owned(), json!({"type": "string"}));
    let Plan::Replace(change) = plan(&spec(), Some(&found)) else {
        panic!("it is replaced");
    };
    assert_eq!(texts(&change.gains), ["v1alpha1 .scopes"]);
    assert_eq!(texts(&change.losses), ["v1alpha1 .more"]);
}

#[test]
fn a_version_is_never_taken_away() {
    let mut found = older();
    let mut version = found["versions"][0].clone();
    version["name"] = "v2".into();
    found["versions"].as_array_mut().unwrap().push(version);
    let Plan::Refuse(losses) = plan(&spec(), Some(&found)) else {
        panic!("it is refused");
    };
    assert_eq!(texts(&losses), ["v2 not served"]);
}

fn found(conversion: &Value) -> DynamicObject {
    DynamicObject {
        types: None,
        metadata: ObjectMeta {
            resource_version: Some("7".to_owned()),
            ..ObjectMeta::default()
        },
        data: json!({"spec": {"conversion": conversion}}),
    }
}

#[test]
fn the_address_of_the_conversion_is_kept_and_its_certificates_are_nobody_elses() {
    let ours = definition("subscriptions.dapr.io");
    let client = json!({"url": "https://elsewhere/convert", "caBundle": "YQ=="});
    let webhook = json!({"strategy": "Webhook", "webhook": {"clientConfig": client}});
    let applied = manifest(&ours, Some(&found(&webhook)), "dapr-system");
    let conversion = &applied["spec"]["conversion"]["webhook"];
    assert_eq!(
        conversion["clientConfig"],
        json!({"url": "https://elsewhere/convert"})
    );
    assert_eq!(applied["metadata"]["resourceVersion"], "7");
}

#[test]
fn a_definition_without_conversion_gets_one_that_leads_here() {
    let ours = definition("subscriptions.dapr.io");
    let none = found(&json!({"strategy": "None"}));
    for found in [None, Some(&none)] {
        let applied = manifest(&ours, found, "dapr-system");
        let client = &applied["spec"]["conversion"]["webhook"]["clientConfig"];
        assert_eq!(client["service"]["namespace"], "dapr-system");
        assert_eq!(client["service"]["name"], "dapr-webhook");
    }
}
