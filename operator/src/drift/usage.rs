//! Whether a stored object uses what another definition would take from it. Pure.

use serde_json::Value;

use super::{
    compare::keeps_unknown,
    difference::{Difference, Effect, Path, Step, What},
};

/// What every object has, and no schema drops.
const KEPT: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// The first thing in `object` that would be dropped under `schema`, or that one of the differences of effect `refused`
/// concerns. Whether a stricter rule would in fact refuse the value is not looked at: that it is set is enough.
pub(super) fn used(object: &Value, schema: &Value, losses: &[Difference]) -> Option<String> {
    let dropped = dropped(object, schema, &Path::default()).map(|path| path.to_string());
    dropped.or_else(|| {
        let mut stricter = losses.iter().filter(|it| it.effect == Effect::Refused);
        let concerned = stricter.find(|it| concerns(it, object))?;
        Some(concerned.to_string())
    })
}

/// Descends only as far as the schema does.
fn dropped(value: &Value, schema: &Value, path: &Path) -> Option<Path> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, value)| !value.is_null() && !is_kept(name, path))
            .find_map(|(name, value)| field(name, value, schema, path)),
        Value::Array(items) if schema["items"].is_object() => {
            let path = path.step(Step::Items);
            let mut items = items.iter();
            items.find_map(|item| dropped(item, &schema["items"], &path))
        }
        _ => None,
    }
}

fn is_kept(name: &str, path: &Path) -> bool {
    path.steps().is_empty() && KEPT.contains(&name)
}

fn field(name: &str, value: &Value, schema: &Value, path: &Path) -> Option<Path> {
    let path = path.field(name);
    let (known, others) = (&schema["properties"][name], &schema["additionalProperties"]);
    if known.is_object() {
        dropped(value, known, &path)
    } else if others.is_object() {
        dropped(value, others, &path)
    } else if keeps_unknown(schema) || *others == true {
        None
    } else {
        Some(path)
    }
}

/// Whether the object has something where the rule is stricter.
fn concerns(loss: &Difference, object: &Value) -> bool {
    let steps = loss.path.steps();
    match (&loss.what, steps.split_last()) {
        (What::Required, Some((Step::Field(name), parents))) => {
            let mut parents = at(object, parents).into_iter();
            parents.any(|parent| parent[name].is_null())
        }
        _ => !at(object, steps).is_empty(),
    }
}

/// Everything that is set in this place.
fn at<'a>(object: &'a Value, steps: &[Step]) -> Vec<&'a Value> {
    let mut values = vec![object];
    for step in steps {
        let next = values.into_iter().flat_map(|value| into(value, step));
        values = next.filter(|value| !value.is_null()).collect();
    }
    values
}

fn into<'a>(value: &'a Value, step: &Step) -> Vec<&'a Value> {
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Items => value.as_array().into_iter().flatten().collect(),
        Step::Values => {
            let fields = value.as_object().into_iter();
            fields.flat_map(|fields| fields.values()).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        let text = json!({"type": "string"});
        json!({
            "type": "object",
            "properties": {
                "metadata": {"type": "object"},
                "spec": {"type": "object", "properties": {
                    "name": text,
                    "list": {"type": "array", "items": {"type": "object", "properties": {"key": text}}},
                    "labels": {"type": "object", "additionalProperties": text},
                    "any": {"x-kubernetes-preserve-unknown-fields": true},
                }},
            },
        })
    }

    #[track_caller]
    fn check(object: &Value, losses: &[Difference], expected: Option<&str>) {
        assert_eq!(used(object, &schema(), losses).as_deref(), expected);
    }

    fn stricter(path: &Path, what: What) -> Difference {
        Difference {
            effect: Effect::Refused,
            version: "v1".to_owned(),
            path: path.clone(),
            what,
        }
    }

    #[test]
    fn what_the_schema_names_or_keeps_is_not_used_up() {
        let object = json!({
            "apiVersion": "dapr.io/v1", "kind": "X",
            "metadata": {"name": "x", "labels": {"a": "b"}},
            "spec": {"name": "x", "list": [{"key": "a"}], "labels": {"x": "y"}, "any": {"deep": [1]}, "gone": null},
        });
        check(&object, &[], None);
    }

    #[test]
    fn a_field_that_would_be_dropped_is_found_wherever_it_is() {
        check(&json!({"spec": {"more": 1}}), &[], Some(".spec.more"));
        check(
            &json!({"spec": {"list": [{"key": "a"}, {"more": ""}]}}),
            &[],
            Some(".spec.list[].more"),
        );
        check(&json!({"scopes": []}), &[], Some(".scopes"));
    }

    #[test]
    fn a_stricter_rule_concerns_what_has_a_value_there() {
        let spec = Path::default().field("spec");
        let key = spec.field("list").step(Step::Items).field("key");
        let rule = [stricter(&key, What::Rule("pattern"))];
        let text = Some("v1 .spec.list[].key (pattern)");
        check(&json!({"spec": {"list": [{"key": "a"}]}}), &rule, text);
        check(&json!({"spec": {"list": [{}]}}), &rule, None);
    }

    #[test]
    fn what_becomes_required_concerns_what_does_not_have_it() {
        let name = Path::default().field("spec").field("name");
        let rule = [stricter(&name, What::Required)];
        check(
            &json!({"spec": {}}),
            &rule,
            Some("v1 .spec.name (required)"),
        );
        check(&json!({"spec": {"name": "x"}}), &rule, None);
        check(&json!({}), &rule, None);
    }
}
