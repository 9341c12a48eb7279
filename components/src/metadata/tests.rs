use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Metadata, MetadataError, Schema,
    value::{Milliseconds, Seconds, Sensitive},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Settings {
    host: String,
    #[serde(default)]
    enable_tls: bool,
    retries: Option<i32>,
    timeout: Option<Seconds>,
    interval: Option<Milliseconds>,
    #[serde(default)]
    hosts: Vec<String>,
    password: Option<Sensitive>,
    #[serde(default)]
    mode: Mode,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Node,
    Cluster,
}

impl Schema for Settings {
    const ALIASES: &'static [(&'static str, &'static str)] = &[("server", "host")];
}

fn settings(pairs: &[(&str, &str)]) -> Result<Settings, MetadataError> {
    Metadata::new(pairs.iter().copied())?.decode()
}

#[test]
fn keys_are_case_insensitive() {
    let settings = settings(&[("HOST", "a"), ("EnableTLS", "Yes"), ("enabletlsx", "")]).unwrap();
    assert_eq!(settings.host, "a");
    assert!(settings.enable_tls);
}

#[test]
fn the_same_key_twice_is_refused() {
    assert_eq!(
        settings(&[("host", "a"), ("Host", "b")])
            .unwrap_err()
            .to_string(),
        "key Host is duplicate in the metadata"
    );
}

#[test]
fn an_alias_counts_only_without_its_key() {
    assert_eq!(settings(&[("Server", "b")]).unwrap().host, "b");
    let both = settings(&[("server", "b"), ("host", "a")]).unwrap();
    assert_eq!(both.host, "a");
}

#[test]
fn a_missing_or_empty_key_is_named() {
    for pairs in [&[][..], &[("host", "")]] {
        assert_eq!(
            settings(pairs).unwrap_err(),
            MetadataError::Missing("host".into())
        );
    }
}

#[test]
fn values_have_their_forms() {
    let settings = settings(&[
        ("host", "a"),
        ("retries", " -1"),
        ("timeout", "90"),
        ("interval", "90"),
        ("hosts", "x, y"),
        ("mode", "cluster"),
    ])
    .unwrap();
    assert_eq!(settings.retries, Some(-1));
    assert_eq!(settings.timeout, Some(Seconds(Duration::from_secs(90))));
    assert_eq!(
        settings.interval,
        Some(Milliseconds(Duration::from_millis(90)))
    );
    assert_eq!(settings.hosts, ["x", " y"]);
    assert_eq!(settings.mode, Mode::Cluster);
    assert_eq!(
        super::Metadata::new([("timeout", "1m30s"), ("host", "a")])
            .unwrap()
            .decode::<Settings>()
            .unwrap()
            .timeout,
        Some(Seconds(Duration::from_secs(90)))
    );
}

#[test]
fn a_bad_value_names_its_key_and_not_itself() {
    for (key, value) in [
        ("retries", "s3cret"),
        ("timeout", "-5s"),
        ("mode", "s3cret"),
    ] {
        let error = settings(&[("host", "a"), (key, value)]).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("metadata property {key} is invalid: ")),
            "{text}"
        );
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[test]
fn splitting_leaves_what_the_struct_does_not_know() {
    let metadata = Metadata::new([("host", "a"), ("keyPrefix", "none"), ("other", "x")]).unwrap();
    let (_, rest) = metadata.split::<Settings>().unwrap();
    assert_eq!(rest.names().collect::<Vec<_>>(), ["keyPrefix", "other"]);
    assert_eq!(rest.get("KEYPREFIX"), Some("none"));
}

#[test]
fn debug_shows_no_value() {
    let metadata = Metadata::new([("host", "a"), ("password", "s3cret")]).unwrap();
    assert!(!format!("{metadata:?}").contains("s3cret"));
    let settings = metadata.decode::<Settings>().unwrap();
    assert!(!format!("{settings:?}").contains("s3cret"));
    assert_eq!(
        settings.password.as_ref().map(Sensitive::expose),
        Some("s3cret")
    );
}
