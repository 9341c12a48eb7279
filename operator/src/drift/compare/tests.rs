use serde_json::json;
use trilby_crds::manifests;

use super::*;

fn definition(schema: &Value) -> Value {
    json!({"versions": [{
        "name": "v1", "served": true, "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }]})
}

fn differences(ours: &Value, theirs: &Value) -> Vec<(Effect, String)> {
    let found = compare(&definition(ours), &definition(theirs));
    found
        .into_iter()
        .map(|it| (it.effect, it.to_string()))
        .collect()
}

fn object(properties: &Value) -> Value {
    json!({"type": "object", "properties": properties})
}

#[test]
fn our_own_definitions_do_not_differ_from_themselves() {
    for manifest in manifests() {
        let spec = serde_json::to_value(&manifest.definition.spec).unwrap();
        assert_eq!(compare(&spec, &spec), [], "{}", manifest.file);
    }
}

#[test]
fn a_field_that_the_cluster_does_not_know_is_dropped() {
    let ours = object(
        &json!({"spec": {"type": "array", "items": object(&json!({"name": {"type": "string"}, "value": {"type": "string"}}))}}),
    );
    let theirs = object(
        &json!({"spec": {"type": "array", "items": object(&json!({"name": {"type": "string"}}))}}),
    );
    assert_eq!(
        differences(&ours, &theirs),
        [(Effect::Dropped, "v1 .spec[].value".to_owned())]
    );
    assert_eq!(
        differences(&theirs, &ours),
        [(Effect::Extra, "v1 .spec[].value".to_owned())]
    );
}

#[test]
fn what_keeps_unknown_fields_drops_none() {
    let ours = object(&json!({"value": {"type": "string"}}));
    let theirs = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    assert_eq!(differences(&ours, &theirs), []);
}

#[test]
fn stricter_rules_are_named_and_looser_ones_are_not() {
    let loose = object(&json!({"a": {"type": "string"}, "b": {"type": "integer"}}));
    let mut strict = object(&json!({
        "a": {"type": "string", "enum": ["x"], "maxLength": 3}, "b": {"type": "string"},
    }));
    strict["required"] = json!(["a"]);
    let refused = |what: &str| (Effect::Refused, what.to_owned());
    assert_eq!(
        differences(&loose, &strict),
        [
            refused("v1 .a (required)"),
            refused("v1 .a (maxLength)"),
            refused("v1 .a (enum)"),
            refused("v1 .b (type)"),
        ]
    );
    strict["properties"]["b"] = json!({"type": "integer"});
    assert_eq!(differences(&strict, &loose), []);
}

#[test]
fn a_version_that_is_not_served_is_missing() {
    let ours = definition(&object(&json!({})));
    let mut theirs = ours.clone();
    theirs["versions"][0]["served"] = false.into();
    for theirs in [theirs, json!({})] {
        let found = compare(&ours, &theirs);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].effect, found[0].to_string()),
            (Effect::Missing, "v1 not served".to_owned())
        );
    }
}

#[test]
fn without_the_subresource_only_that_is_told_of_the_status() {
    let status = object(&json!({"phase": {"type": "string"}}));
    let ours = definition(&object(&json!({"status": status})));
    let mut theirs = definition(&object(&json!({})));
    theirs["versions"][0]["subresources"] = json!({});
    let found = compare(&ours, &theirs);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].effect, Effect::NoStatus);
}

#[test]
fn what_keeps_unknown_fields_loses_them_where_they_are_not_kept() {
    let ours = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let theirs = object(&json!({"value": {"type": "string"}}));
    let found = differences(&ours, &theirs);
    assert_eq!(
        found[0],
        (Effect::Dropped, "v1 (unknown fields)".to_owned())
    );
}

#[test]
fn columns_and_names_that_are_not_there_are_hidden_and_more_of_them_are_no_difference() {
    let mut ours = definition(&object(&json!({})));
    ours["names"] = json!({"shortNames": ["dc"], "categories": ["dapr"]});
    ours["versions"][0]["additionalPrinterColumns"] = json!([{"name": "Age"}]);
    let theirs = definition(&object(&json!({})));
    let texts: Vec<_> = compare(&ours, &theirs)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(texts, ["short name dc", "category dapr", "v1 column Age"]);
    assert_eq!(compare(&theirs, &ours), []);
}
