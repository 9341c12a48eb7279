//! Components: `spec.metadata` refers to secrets, whose values go out in base64.

use serde_json::Value;
use trilby_crds::{API_VERSION_V1ALPHA1, Component};

use super::{Needs, SecretRef, SecretValue, Secrets, fill, object::Object, pair, scopes};

pub(super) fn needs(text: &str) -> serde_json::Result<Needs> {
    let component: Component = serde_json::from_str(text)?;
    let secrets = match fill::is_kubernetes(component.secret_store()) {
        true => component
            .spec
            .metadata
            .iter()
            .filter_map(|pair| pair.secret())
            .map(SecretRef::from)
            .collect(),
        false => Box::default(),
    };
    Ok(Needs {
        scopes: scopes(component.scopes),
        secrets,
    })
}

pub(super) fn render(text: &str, secrets: &Secrets<'_>) -> serde_json::Result<String> {
    let mut root = Object::parse(text)?;
    root.set_default("apiVersion", &API_VERSION_V1ALPHA1)?;
    root.set_default("kind", &"Component")?;
    root.set_default("spec", &Object::default())?;
    root.set_default("auth", &Object::default())?;
    let mut store = String::new();
    root.edit("auth", |auth| {
        auth.set_default("secretStore", &"")?;
        store = auth.string("secretStore")?;
        Ok(())
    })?;
    root.edit("spec", |spec| {
        spec.set_default("ignoreErrors", &false)?;
        spec.set_default("initTimeout", &"")?;
        spec.set_default("metadata", &Value::Null)?;
        spec.edit_each("metadata", |item| {
            let reference = pair::complete(item)?;
            match reference.filter(|_| fill::is_kubernetes(&store)) {
                Some(reference) => fill_in(item, secrets(&reference.into_ref())),
                None => Ok(()),
            }
        })
    })?;
    serde_json::to_string(&root)
}

fn fill_in(item: &mut Object<'_>, value: SecretValue<'_>) -> serde_json::Result<()> {
    match value {
        // As upstream: an inline value stays where the Secret has no such key.
        SecretValue::NoKey => Ok(()),
        value => fill::value(item, &value),
    }
}
