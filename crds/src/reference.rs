//! The reference page of all kinds, from their definitions.

use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps,
    JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use crate::manifests;

const HEAD: &str = "# Kinds of resources

<!-- Generated from the types in crds/ by `make generate`. -->

Every field that a definition has, beside `apiVersion`, `kind` and `metadata`. `[]` stands for the entries of a list, `.*` for the values
of a map. *required*: the API server refuses an object without it. What the conditions of `status` mean:
[resources](../operations/resources.md).
";

/// The page, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for manifest in manifests() {
        kind(&mut page, &manifest.definition);
    }
    page
}

fn kind(page: &mut String, definition: &CustomResourceDefinition) {
    let names = &definition.spec.names;
    let short = names.short_names.iter().flatten();
    let short: Vec<_> = short.map(|name| format!("`{name}`")).collect();
    let (kind, short) = (&names.kind, short.join(", "));
    line(
        page,
        format_args!("\n## {kind}\n\n`{}`, short: {short}.", names.plural),
    );
    for version in &definition.spec.versions {
        self::version(page, definition, version);
    }
}

fn version(
    page: &mut String,
    definition: &CustomResourceDefinition,
    version: &CustomResourceDefinitionVersion,
) {
    let stored = if version.storage { ", stored" } else { "" };
    let heading = format!("`{}/{}`{stored}", definition.spec.group, version.name);
    line(page, format_args!("\n### {heading}\n"));
    line(
        page,
        format_args!("| field | type | meaning |\n|---|---|---|"),
    );
    let schema = version.schema.as_ref();
    if let Some(schema) = schema.and_then(|it| it.open_api_v3_schema.as_ref()) {
        fields(page, schema, "");
    }
}

fn fields(page: &mut String, schema: &JSONSchemaProps, path: &str) {
    for (name, field) in schema.properties.iter().flatten() {
        if path.is_empty() && ["apiVersion", "kind", "metadata"].contains(&name.as_str()) {
            continue;
        }
        let required = schema.required.iter().flatten().any(|it| it == name);
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        row(page, (&path, required), field);
        below(page, field, &path);
    }
}

fn row(page: &mut String, (path, required): (&str, bool), field: &JSONSchemaProps) {
    let mut facts = vec![type_of(field)];
    facts.extend(required.then(|| "*required*".to_owned()));
    facts.extend(
        field
            .default
            .as_ref()
            .map(|it| format!("default `{}`", it.0)),
    );
    let meaning = field.description.as_deref().unwrap_or_default();
    let meaning = meaning.replace('\n', " ").replace('|', "\\|");
    line(
        page,
        format_args!("| `{path}` | {} | {meaning} |", facts.join(", ")),
    );
}

/// The fields of what a list or a map holds, and of an object.
fn below(page: &mut String, field: &JSONSchemaProps, path: &str) {
    fields(page, field, path);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &field.items {
        below(page, items, &format!("{path}[]"));
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &field.additional_properties {
        below(page, values, &format!("{path}.*"));
    }
}

fn type_of(field: &JSONSchemaProps) -> String {
    let values = field.enum_.iter().flatten();
    let values: Vec<_> = values.map(|value| format!("`{}`", value.0)).collect();
    if !values.is_empty() {
        return values.join(", ");
    }
    match (
        field.type_.as_deref(),
        &field.items,
        &field.additional_properties,
    ) {
        (Some("array"), Some(JSONSchemaPropsOrArray::Schema(items)), _) => {
            format!("list of {}", type_of(items))
        }
        (_, _, Some(JSONSchemaPropsOrBool::Schema(values))) => {
            format!("map of {}", type_of(values))
        }
        (Some(name), ..) => name.to_owned(),
        (None, ..) => "any".to_owned(),
    }
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(page, "{text}").expect("a String takes everything");
}
