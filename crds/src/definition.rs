//! From our types to CustomResourceDefinitions, and to the files of the chart.
//!
//! A structural schema of the API server is a narrow dialect: no references, no `null` types, one `type` per node. The
//! generator inlines everything; [`structural`] takes out the rest.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceConversion, CustomResourceDefinition,
    CustomResourceDefinitionNames, CustomResourceDefinitionSpec, CustomResourceDefinitionVersion,
    CustomResourceSubresourceStatus, CustomResourceSubresources, CustomResourceValidation,
    JSONSchemaProps, ServiceReference, WebhookClientConfig, WebhookConversion,
};
use kube_core::{ObjectMeta, Resource};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::object::{Object, Spec};
use crate::{
    ComponentSpec, Configuration, HttpEndpointSpec, McpServerSpec, ResiliencySpec, ResourceStatus,
    SubscriptionSpec, SubscriptionV1Spec, V2ALPHA1, WorkflowAccessPolicySpec,
};

/// The version of conversion requests that the API server sends. `v2alpha1`, which upstream lists beside it, is none.
const REVIEW_V1: &str = "v1";

/// One CRD and the name of its file in the chart's `crds/` folder, which the CLI relies on.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Name of the file, without folder.
    pub file: &'static str,
    /// What the file holds.
    pub definition: CustomResourceDefinition,
}

/// Every CRD of this crate.
pub fn manifests() -> Vec<Manifest> {
    vec![
        manifest(
            "components.yaml",
            object_definition::<ComponentSpec>("dcomp", component_columns()),
        ),
        manifest(
            "configuration.yaml",
            definition::<Configuration>("dconf", Vec::new()),
        ),
        manifest(
            "httpendpoints.yaml",
            object_definition::<HttpEndpointSpec>(
                "dhttp",
                vec![column("URL", ".spec.baseUrl", "Where the endpoint is")],
            ),
        ),
        manifest(
            "mcpservers.yaml",
            object_definition::<McpServerSpec>("dmcp", Vec::new()),
        ),
        manifest(
            "resiliency.yaml",
            object_definition::<ResiliencySpec>("dres", Vec::new()),
        ),
        manifest("subscription.yaml", subscription()),
        manifest(
            "workflowaccesspolicy.yaml",
            object_definition::<WorkflowAccessPolicySpec>("dwap", Vec::new()),
        ),
    ]
}

fn manifest(file: &'static str, definition: CustomResourceDefinition) -> Manifest {
    Manifest { file, definition }
}

fn component_columns() -> Vec<CustomResourceColumnDefinition> {
    vec![
        column("Type", ".spec.type", "What serves the building block"),
        column("Version", ".spec.version", "Version of the component type"),
        CustomResourceColumnDefinition {
            priority: Some(1), // only with `-o wide`
            ..column(
                "Scopes",
                ".scopes",
                "App ids that may use it; none means all",
            )
        },
    ]
}

/// What every kind shows of its status, and its age.
fn common_columns() -> [CustomResourceColumnDefinition; 3] {
    [
        column(
            "Loaded",
            r#".status.conditions[?(@.type=="Loaded")].status"#,
            "Whether every sidecar that should has loaded it",
        ),
        column(
            "Sidecars",
            ".status.sidecars",
            "Sidecars that have loaded it, of those that should",
        ),
        age_column(),
    ]
}

/// Two versions, of which the newer one is stored; the operator converts.
fn subscription() -> CustomResourceDefinition {
    let columns = || {
        vec![
            column(
                "Pubsub",
                ".spec.pubsubname",
                "Name of the pub/sub component",
            ),
            column("Topic", ".spec.topic", "Name of the topic"),
        ]
    };
    let mut subscription = object_definition::<SubscriptionSpec>("dsub", columns());
    let mut older = object_definition::<SubscriptionV1Spec>("dsub", columns())
        .spec
        .versions;
    older.iter_mut().for_each(|version| version.storage = false);
    subscription.spec.versions.splice(0..0, older);
    subscription.spec.conversion = Some(conversion());
    subscription
}

/// The operator's webhook. It writes its namespace and its certificate authority here when it starts.
fn conversion() -> CustomResourceConversion {
    CustomResourceConversion {
        strategy: "Webhook".to_owned(),
        webhook: Some(WebhookConversion {
            client_config: Some(WebhookClientConfig {
                service: Some(ServiceReference {
                    namespace: "replaceme".to_owned(),
                    name: "dapr-webhook".to_owned(),
                    path: Some("/convert".to_owned()),
                    port: None,
                }),
                ..WebhookClientConfig::default()
            }),
            conversion_review_versions: vec![REVIEW_V1.to_owned(), V2ALPHA1.to_owned()],
        }),
    }
}

/// Schema of an object's `metadata`, which the API server fills in by itself.
pub(crate) fn object_metadata(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object" })
}

// === impl Manifest ===

impl Manifest {
    /// The file's text.
    pub fn yaml(&self) -> String {
        let body = serde_saphyr::to_string(&self.definition)
            .expect("a CRD holds nothing that YAML cannot");
        format!(
            "# Generated from the types in crds/ by `cargo run -p trilby-crds`. Do not edit.\n---\n{body}"
        )
    }
}

/// The CRD of a resource around the spec `S`.
fn object_definition<S>(
    short_name: &str,
    columns: Vec<CustomResourceColumnDefinition>,
) -> CustomResourceDefinition
where
    S: Spec + JsonSchema,
{
    let mut definition = definition::<Object<S>>(short_name, columns);
    let schemas = definition
        .spec
        .versions
        .iter_mut()
        .filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
    for schema in schemas {
        schema.description = Some(S::DESCRIPTION.to_owned());
        if let Some(properties) = schema.properties.as_mut().filter(|_| !S::HAS_AUTH) {
            properties.remove("auth");
        }
    }
    definition
}

/// The CRD of a namespaced resource with one version.
fn definition<K>(
    short_name: &str,
    mut columns: Vec<CustomResourceColumnDefinition>,
) -> CustomResourceDefinition
where
    K: Resource<DynamicType = ()> + JsonSchema,
{
    let kind = K::kind(&()).into_owned();
    let plural = K::plural(&()).into_owned();
    columns.extend(common_columns());
    CustomResourceDefinition {
        metadata: ObjectMeta {
            name: Some(format!("{plural}.{}", K::group(&()))),
            labels: Some([("app.kubernetes.io/part-of".to_owned(), "dapr".to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: CustomResourceDefinitionSpec {
            group: K::group(&()).into_owned(),
            names: CustomResourceDefinitionNames {
                categories: Some(vec!["dapr".to_owned()]),
                list_kind: Some(format!("{kind}List")),
                singular: Some(kind.to_lowercase()),
                plural,
                kind,
                short_names: Some(vec![short_name.to_owned()]),
            },
            scope: "Namespaced".to_owned(),
            versions: vec![CustomResourceDefinitionVersion {
                name: K::version(&()).into_owned(),
                served: true,
                storage: true,
                additional_printer_columns: Some(columns),
                subresources: Some(CustomResourceSubresources {
                    status: Some(CustomResourceSubresourceStatus(json!({}))),
                    scale: None,
                }),
                schema: Some(CustomResourceValidation {
                    open_api_v3_schema: Some(root_schema::<K>()),
                }),
                ..CustomResourceDefinitionVersion::default()
            }],
            ..CustomResourceDefinitionSpec::default()
        },
        status: None,
    }
}

fn column(name: &str, json_path: &str, description: &str) -> CustomResourceColumnDefinition {
    CustomResourceColumnDefinition {
        name: name.to_owned(),
        type_: "string".to_owned(),
        json_path: json_path.to_owned(),
        description: Some(description.to_owned()),
        ..CustomResourceColumnDefinition::default()
    }
}

/// The age that `kubectl` shows by itself only when a resource has no columns of its own.
fn age_column() -> CustomResourceColumnDefinition {
    CustomResourceColumnDefinition {
        name: "Age".to_owned(),
        type_: "date".to_owned(),
        json_path: ".metadata.creationTimestamp".to_owned(),
        ..CustomResourceColumnDefinition::default()
    }
}

/// Schema of the whole object: our type's, and the two fields that every object has.
fn root_schema<K: JsonSchema>() -> JSONSchemaProps {
    let mut root = schema_of::<K>();
    if let Some(object) = root.as_object_mut() {
        object.remove("required"); // as upstream: an object without `spec` is accepted
        object.remove("title");
    }
    root["properties"]["apiVersion"] =
        json!({ "type": "string", "description": "Group and version of this resource." });
    root["properties"]["kind"] =
        json!({ "type": "string", "description": "Kind of this resource." });
    root["properties"]["status"] = schema_of::<ResourceStatus>();
    if let Some(status) = root["properties"]["status"].as_object_mut() {
        status.remove("title");
        status.remove("required"); // people may write an empty one
    }
    // The API server knows this one itself and refuses the CRD if it says any more, a description included.
    root["properties"]["metadata"] = json!({ "type": "object" });
    serde_json::from_value(root).expect("the generator writes valid schemas")
}

fn schema_of<T: JsonSchema>() -> Value {
    // Required is what encoding always writes, so the schema describes the encoded form.
    let settings = SchemaSettings::draft07().for_serialize().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let generator = settings.into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    structural(&mut schema);
    schema
}

/// Rewrites one node, and all below it, into what the API server takes.
fn structural(node: &mut Value) {
    let Some(node) = node.as_object_mut() else {
        return;
    };
    unwrap_nullable(node);
    node.remove("default"); // Rust's zero values are no defaults of the API
    if let Some(default) = node.remove("x-default") {
        node.insert("default".to_owned(), default);
    }
    if node.get("format").is_some_and(|format| format != "int32") {
        node.remove("format");
    }
    if let Some(Value::String(text)) = node.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    for key in ["items", "additionalProperties"] {
        node.get_mut(key).into_iter().for_each(structural);
    }
    if let Some(Value::Object(properties)) = node.get_mut("properties") {
        properties.values_mut().for_each(structural);
    }
}

/// `T or null` becomes `T`: an unset field is absent in the API, never null.
fn unwrap_nullable(node: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = node.get_mut("type") {
        types.retain(|name| name != "null");
        let only = types.first().cloned().expect("a type besides null");
        node.insert("type".to_owned(), only);
    }
    let Some(Value::Array(alternatives)) = node.remove("anyOf") else {
        return;
    };
    for alternative in alternatives
        .into_iter()
        .filter(|alternative| alternative["type"] != "null")
    {
        let Value::Object(inner) = alternative else {
            continue;
        };
        for (key, value) in inner {
            node.entry(key).or_insert(value); // the field's own description wins over its type's
        }
    }
}
