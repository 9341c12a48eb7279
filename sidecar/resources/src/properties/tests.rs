use std::collections::BTreeMap;

use async_trait::async_trait;
use trilby_components::{
    RequestMetadata,
    metadata::Metadata,
    secret::{Secret, SecretError, SecretStore},
};

use super::{Keeper, Resolver};
use crate::{
    config::Environment,
    manifest::{Manifest, Received},
};

/// One secret `db` in namespace `ns`.
struct Store;

#[async_trait]
impl SecretStore for Store {
    async fn get(&self, name: &str, metadata: &RequestMetadata) -> Result<Secret, SecretError> {
        assert_eq!(metadata["namespace"], "ns");
        match name {
            "db" => Ok(Secret::from([("user".to_owned(), "ada".to_owned())])),
            other => Err(SecretError::NotFound(format!("secret {other} not found"))),
        }
    }

    async fn bulk_get(
        &self,
        _metadata: &RequestMetadata,
    ) -> Result<BTreeMap<String, Secret>, SecretError> {
        panic!("components ask for one secret at a time");
    }
}

fn manifest(store: &str, property: &str) -> Manifest {
    let json = format!(
        r#"{{"metadata":{{"name":"s","namespace":"ns"}},"spec":{{"type":"t","metadata":[{property}]}},
        "auth":{{"secretStore":"{store}"}}}}"#
    );
    match Received::decode(json.as_bytes()) {
        Some(Received::Manifest(manifest)) => *manifest,
        other => panic!("{other:?}"),
    }
}

async fn resolve(keeper: Keeper<'_>, manifest: &Manifest) -> Result<Metadata, (String, bool)> {
    let environment = Environment::new(|name| match name {
        "HOST" => Some("redis".to_owned()),
        "DAPR_API_TOKEN" => Some("s3cret".to_owned()),
        _ => None,
    });
    let resolver = Resolver {
        what: "metadata property",
        app_id: "app",
        namespace: "ns",
        environment: &environment,
        keeper,
        store: Some(&Store),
    };
    let resolved = resolver.resolve(manifest).await;
    resolved.map_err(|failure| (failure.reason, failure.passing))
}

async fn value(keeper: Keeper<'_>, property: &str) -> Result<String, (String, bool)> {
    let metadata = resolve(keeper, &manifest("vault", property)).await?;
    Ok(metadata.get("p").unwrap().to_owned())
}

#[test]
fn the_keeper_follows_from_mode_and_store() {
    let secret = r#"{"name":"p","secretKeyRef":{"name":"db"}}"#;
    for (store, property, kubernetes, keeper) in [
        ("", r#"{"name":"p","value":"x"}"#, true, Keeper::Nobody),
        ("", secret, true, Keeper::Operator),
        ("kubernetes", secret, true, Keeper::Operator),
        ("vault", secret, true, Keeper::Store("vault")),
        ("", secret, false, Keeper::Unnamed),
        ("kubernetes", secret, false, Keeper::Store("kubernetes")),
    ] {
        assert_eq!(manifest(store, property).keeper(kubernetes), keeper);
    }
}

#[tokio::test]
async fn a_variable_counts_without_a_value() {
    let plain = value(Keeper::Nobody, r#"{"name":"p","envRef":"HOST"}"#).await;
    assert_eq!(plain.unwrap(), "redis");
    let both = value(
        Keeper::Nobody,
        r#"{"name":"p","value":"v","envRef":"HOST"}"#,
    )
    .await;
    assert_eq!(both.unwrap(), "v");
    for unreadable in ["DAPR_API_TOKEN", "UNSET"] {
        let property = format!(r#"{{"name":"p","envRef":"{unreadable}"}}"#);
        assert_eq!(value(Keeper::Nobody, &property).await.unwrap(), "");
    }
}

#[tokio::test]
async fn the_operators_secrets_are_base64() {
    let secret = |value: &str| {
        format!(r#"{{"name":"p","value":{value},"secretKeyRef":{{"name":"db","key":"user"}}}}"#)
    };
    let found = value(Keeper::Operator, &secret(r#""YWRh""#)).await;
    assert_eq!(found.unwrap(), "ada");
    for (sent, why) in [
        (
            "null",
            "the operator sent no value: create the Secret with this key in the resource's namespace",
        ),
        (
            r#""not base64!""#,
            "the operator sent no base64: the Secret may lack this key",
        ),
        (r#""/w==""#, "it is not text"),
    ] {
        assert_eq!(
            value(Keeper::Operator, &secret(sent)).await.unwrap_err(),
            (
                format!(r#"metadata property p: key "user" of the secret "db": {why}"#),
                false
            )
        );
    }
}

#[tokio::test]
async fn another_store_is_asked_and_may_answer_later() {
    let secret = |name: &str, key: &str| {
        format!(r#"{{"name":"p","secretKeyRef":{{"name":"{name}","key":"{key}"}}}}"#)
    };
    let keeper = Keeper::Store("vault");
    assert_eq!(value(keeper, &secret("db", "user")).await.unwrap(), "ada");
    for (property, why) in [
        (
            secret("db", "pass"),
            r#"metadata property p: secret "db": it has no key "pass""#,
        ),
        (
            secret("x", "y"),
            r#"metadata property p: secret "x": secret x not found"#,
        ),
    ] {
        let error = value(keeper, &property).await.unwrap_err();
        assert_eq!(error, (why.to_owned(), true));
    }
}

#[tokio::test]
async fn a_secret_of_nobody_is_an_error() {
    let error = value(
        Keeper::Unnamed,
        r#"{"name":"p","secretKeyRef":{"name":"db"}}"#,
    )
    .await;
    assert!(
        error
            .unwrap_err()
            .0
            .contains("auth.secretStore names no secret store")
    );
}

#[tokio::test]
async fn templates_are_filled_in() {
    let filled = value(
        Keeper::Nobody,
        r#"{"name":"p","value":"{appID}/{namespace}"}"#,
    )
    .await;
    assert_eq!(filled.unwrap(), "app/ns.app");
    let ids = value(Keeper::Nobody, r#"{"name":"p","value":"{uuid} {uuid}"}"#)
        .await
        .unwrap();
    let (first, second) = ids.split_once(' ').unwrap();
    assert_eq!(first.len(), 36);
    assert_ne!(first, second);
    let error = value(Keeper::Nobody, r#"{"name":"p","value":"{podName}"}"#)
        .await
        .unwrap_err();
    assert_eq!(
        error.0,
        "metadata property p: {podName} is not known, POD_NAME is not set"
    );
}

#[tokio::test]
async fn one_name_twice_is_an_error() {
    let twice = manifest("", r#"{"name":"a","value":"1"},{"name":"A","value":"2"}"#);
    assert_eq!(
        resolve(Keeper::Nobody, &twice).await.unwrap_err(),
        ("key A is duplicate in the metadata".to_owned(), false)
    );
}
