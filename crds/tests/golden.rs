//! The generated CRDs against a table of what upstream's API is, and the chart's files against the generated CRDs.

use std::fs;
use std::path::Path;

use serde_json::Value;
use trilby_crds::manifests;

const CRATE: &str = env!("CARGO_MANIFEST_DIR");

/// The table's lines for a CRD: what stands outside its schema, then its fields.
fn describe(definition: &Value) -> Vec<String> {
    let mut outside = definition.clone();
    outside["apiVersion"].take();
    outside["kind"].take();
    let versions = outside["spec"]["versions"].as_array_mut();
    let schemas: Vec<Value> = versions
        .expect("versions")
        .iter_mut()
        .map(|version| version["schema"].take())
        .collect();
    let mut lines = Vec::new();
    leaves("", &outside, &mut lines);
    for (version, schema) in schemas.iter().enumerate() {
        let mut of_version = Vec::new();
        let root = &schema["openAPIV3Schema"];
        for (name, property) in root["properties"]
            .as_object()
            .expect("a schema with properties")
        {
            fields(name, property, is_required(root, name), &mut of_version);
        }
        // The fields of a second version are told apart by its number.
        let mark = |line: String| match version {
            0 => line,
            number => format!("[{number}] {line}"),
        };
        lines.extend(of_version.into_iter().map(mark));
    }
    lines
}

/// What a schema demands of values beyond their type.
const CONSTRAINTS: [&str; 5] = [
    "minItems",
    "minLength",
    "minimum",
    "x-kubernetes-list-type",
    "x-kubernetes-validations",
];

fn leaves(path: &str, node: &Value, lines: &mut Vec<String>) {
    match node {
        Value::Null => {}
        Value::Object(members) => {
            for (name, member) in members {
                let separator = if path.is_empty() { "" } else { "." };
                leaves(&format!("{path}{separator}{name}"), member, lines);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                leaves(&format!("{path}[{index}]"), item, lines);
            }
        }
        Value::String(text) => lines.push(format!("{path}: {text}")),
        other => lines.push(format!("{path}: {other}")),
    }
}

fn fields(path: &str, node: &Value, required: bool, lines: &mut Vec<String>) {
    let required = if required { "required" } else { "optional" };
    let default = node.get("default").map_or("-".to_owned(), Value::to_string);
    lines.push(format!(
        "{path} | {} | {required} | {default}",
        type_of(node)
    ));
    for name in CONSTRAINTS {
        let constraint = node.get(name);
        lines.extend(constraint.map(|constraint| format!("{path} {name} {constraint}")));
    }
    for (name, property) in node["properties"].as_object().into_iter().flatten() {
        fields(
            &format!("{path}.{name}"),
            property,
            is_required(node, name),
            lines,
        );
    }
    if let Some(items) = node.get("items") {
        fields(&format!("{path}[]"), items, false, lines);
    }
    if let Some(values) = node.get("additionalProperties") {
        fields(&format!("{path}{{}}"), values, false, lines);
    }
}

fn type_of(node: &Value) -> String {
    let name = node["type"].as_str();
    if node["x-kubernetes-preserve-unknown-fields"] == true {
        return name.map_or("any".to_owned(), |name| format!("any {name}"));
    }
    if let Some(values) = node["enum"].as_array() {
        let values: Vec<_> = values.iter().filter_map(Value::as_str).collect();
        return format!("enum {}", values.join(","));
    }
    if node.get("additionalProperties").is_some() {
        return "map".to_owned();
    }
    node["format"].as_str().or(name).expect("a type").to_owned()
}

fn is_required(parent: &Value, name: &str) -> bool {
    parent["required"]
        .as_array()
        .is_some_and(|names| names.iter().any(|required| required == name))
}

/// The lines of a golden table, spaces and marks of additions taken out.
fn golden(file: &str) -> Vec<String> {
    let path = Path::new(CRATE)
        .join("golden")
        .join(file)
        .with_extension("txt");
    let table = fs::read_to_string(path).expect("a golden table per CRD");
    let rows = table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    rows.map(|line| {
        line.trim_start_matches("+ ")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    })
    .collect()
}

#[test]
fn every_upstream_field_type_default_and_requirement_is_there_and_nothing_else() {
    for manifest in manifests() {
        let generated = describe(&serde_json::to_value(&manifest.definition).unwrap());
        let table = golden(manifest.file);
        let missing: Vec<_> = table
            .iter()
            .filter(|line| !generated.contains(line))
            .collect();
        let unlisted: Vec<_> = generated
            .iter()
            .filter(|line| !table.contains(line))
            .collect();
        assert!(
            missing.is_empty() && unlisted.is_empty(),
            "{}: in the table only: {missing:#?}\ngenerated only: {unlisted:#?}",
            manifest.file
        );
    }
}

#[test]
fn the_chart_holds_what_is_generated() {
    for manifest in manifests() {
        let path = Path::new(CRATE)
            .join("../charts/dapr/crds")
            .join(manifest.file);
        let found = fs::read_to_string(&path).unwrap();
        assert!(
            found == manifest.yaml(),
            "{}: run `cargo run -p trilby-crds`",
            path.display()
        );
    }
}

#[test]
fn the_yaml_reads_back_as_the_definition() {
    for manifest in manifests() {
        let read: Value = serde_saphyr::from_str(&manifest.yaml()).unwrap();
        assert_eq!(read, serde_json::to_value(&manifest.definition).unwrap());
    }
}
