use schemars::JsonSchema;
use serde::Deserialize;
use trilby_component_catalogue::{Effect, Field, Kind, Unit};

use super::{Definition, fields};
use crate::{
    metadata::{
        Metadata, Schema,
        value::{Milliseconds, Seconds, Sensitive},
    },
    registry::Block,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(
    dead_code,
    reason = "only its description and whether it decodes count"
)]
struct Everything {
    /// Where it is,
    /// on the network.
    host: String,
    #[serde(default, rename = "enableTLS")]
    enable_tls: bool,
    retries: Option<i32>,
    port: Option<u16>,
    #[serde(default = "half")]
    rate: f64,
    timeout: Option<Seconds>,
    #[schemars(extend("default" = "5s"))]
    interval: Option<Milliseconds>,
    #[serde(default)]
    hosts: Vec<String>,
    password: Option<Sensitive>,
    #[serde(default)]
    mode: Mode,
    other_mode: Option<Mode>,
    #[schemars(extend("effect" = "none"))]
    pool_size: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// One.
    #[default]
    Node,
    Cluster,
}

fn half() -> f64 {
    0.5
}

impl Schema for Everything {
    const ALIASES: &'static [(&'static str, &'static str)] = &[("server", "host")];
}

fn named(name: &str) -> Field {
    let mut all = fields::<Everything>().into_iter();
    all.find(|field| field.name == name).unwrap()
}

#[test]
fn a_field_tells_what_its_type_its_attributes_and_its_docs_say() {
    let host = named("host");
    assert!(host.required && !host.sensitive);
    assert_eq!(host.aliases, ["server"]);
    assert_eq!(host.description, "Where it is, on the network.");
    assert_eq!(host.kind, Kind::Text);
    assert_eq!(named("enableTLS").default.as_deref(), Some("false"));
    assert_eq!(named("rate").default.as_deref(), Some("0.5"));
    assert_eq!(named("interval").default.as_deref(), Some("5s"));
    assert_eq!(named("retries").default, None);
    assert!(named("password").sensitive);
    assert_eq!(named("poolSize").effect, Effect::None);
    let required = fields::<Everything>()
        .into_iter()
        .filter(|field| field.required);
    assert_eq!(required.count(), 1);
}

#[test]
fn a_kind_is_that_of_the_type() {
    let duration = |unit| Kind::Duration {
        unit,
        negative: false,
    };
    for (name, kind) in [
        ("enableTLS", Kind::Boolean),
        ("rate", Kind::Number),
        ("timeout", duration(Unit::Seconds)),
        ("interval", duration(Unit::Milliseconds)),
        ("hosts", Kind::List),
        ("password", Kind::Text),
        (
            "port",
            Kind::Integer {
                minimum: 0,
                maximum: 65_535,
            },
        ),
        (
            "otherMode",
            Kind::Choice {
                values: vec!["cluster".into(), "node".into()],
            },
        ),
    ] {
        assert_eq!(named(name).kind, kind, "{name}");
    }
}

/// A kind says of a value what decoding does.
#[test]
fn what_a_kind_accepts_decodes_and_nothing_else_does() {
    for field in fields::<Everything>() {
        for value in [
            "",
            "0",
            "1",
            " 7 ",
            "-1",
            "1.5",
            "65536",
            "9999999999",
            "true",
            "maybe",
            "90",
            "1m30s",
            "-5s",
            "90 s",
            "node",
            "Node",
            "cluster",
            "a,b",
        ] {
            let mut pairs = vec![("host", "there")];
            pairs.retain(|(name, _)| *name != field.name);
            pairs.push((&field.name, value));
            let decoded = Metadata::new(pairs).unwrap().decode::<Everything>();
            let accepted = field.kind.check(value).is_ok() && !(field.required && value.is_empty());
            assert_eq!(
                decoded.is_ok(),
                accepted,
                "{} = {value:?}: {decoded:?}",
                field.name
            );
        }
    }
}

#[test]
fn a_definition_has_the_fields_of_all_its_structs_by_name() {
    let definition = Definition::new(Block::State, "some").taking::<Everything>();
    let names: Vec<_> = definition
        .fields
        .iter()
        .map(|field| field.name.as_str())
        .collect();
    assert!(names.is_sorted());
    assert_eq!(names.len(), 12);
}
