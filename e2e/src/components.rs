//! Components and a configuration are applied.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::evidence::Evidence;
use crate::scene::{Scene, example, expect};

/// Applies a Redis, the two state stores and the configuration of the examples.
///
/// # Errors
/// If the API server refuses one, or Redis does not run.
pub async fn show(scene: &Scene) -> Result<Evidence> {
    for file in ["redis.yaml", "components.yaml", "configuration.yaml"] {
        scene.apply(&example(file)?).await?;
    }
    scene.rolled_out(&["redis"]).await?;
    let mut evidence = Evidence::default();
    for name in ["statestore", "scratch"] {
        evidence.add(describe(&scene.get(&format!("component/{name}")).await?)?);
    }
    let password = origin_of_password(&scene.get("component/statestore").await?)?;
    evidence.add(format!(
        "statestore's redisPassword is read from {password}"
    ));
    let configuration = scene.get("configuration/hello").await?;
    let trust_domain = &configuration["spec"]["accessControl"]["trustDomain"];
    evidence.add(format!("Configuration hello: trust domain {trust_domain}"));
    Ok(evidence)
}

fn describe(component: &Value) -> Result<String> {
    let text = |pointer: &str| {
        let value = component.pointer(pointer).and_then(Value::as_str);
        value.with_context(|| format!("no {pointer} in {component}"))
    };
    let (name, kind) = (text("/metadata/name")?, text("/spec/type")?);
    Ok(match component["scopes"].as_array() {
        Some(scopes) => {
            let apps: Vec<_> = scopes.iter().filter_map(Value::as_str).collect();
            format!("Component {name}: {kind}, for {} only", apps.join(", "))
        }
        None => format!("Component {name}: {kind}, for every app"),
    })
}

fn origin_of_password(component: &Value) -> Result<String> {
    let items = component["spec"]["metadata"].as_array();
    let password = items
        .into_iter()
        .flatten()
        .find(|item| item["name"] == "redisPassword")
        .context("the store has no redisPassword")?;
    expect(password["value"].is_null(), || {
        "the password stands in the Component itself".to_owned()
    })?;
    let reference = &password["secretKeyRef"];
    let field = |name: &str| reference[name].as_str().context("an incomplete reference");
    Ok(format!(
        "key {} of Secret {}",
        field("key")?,
        field("name")?
    ))
}
