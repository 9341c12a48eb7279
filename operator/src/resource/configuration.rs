//! Configurations: headers of the trace exporter may refer to secrets, whose values go out as plain text.

use serde_json::Value;
use trilby_crds::{API_VERSION_V1ALPHA1, Configuration};

use super::{Needs, SecretRef, SecretValue, Secrets, object::Object, pair};

pub(super) fn needs(text: &str) -> serde_json::Result<Needs> {
    let configuration: Configuration = serde_json::from_str(text)?;
    let otel = configuration.spec.tracing.and_then(|tracing| tracing.otel);
    let secrets = otel
        .iter()
        .flat_map(|otel| &otel.headers)
        .filter_map(|header| {
            let secret = header.secret()?;
            Some(SecretRef {
                secret: secret.name.as_str().into(),
                // A header's reference must name its key; without one there is nothing to look up.
                key: secret.key.as_deref()?.into(),
            })
        })
        .collect();
    Ok(Needs {
        secrets,
        ..Needs::default()
    })
}

pub(super) fn render(text: &str, secrets: &Secrets<'_>) -> serde_json::Result<String> {
    let mut root = Object::parse(text)?;
    root.set_default("apiVersion", &API_VERSION_V1ALPHA1)?;
    root.set_default("kind", &"Configuration")?;
    root.edit("spec", |spec| {
        spec.edit("tracing", |tracing| {
            tracing.edit("otel", |otel| {
                otel.edit_each("headers", |header| match pair::complete(header)? {
                    Some(reference) => fill_in(header, secrets(&reference.into_strict_ref())),
                    None => Ok(()),
                })
            })
        })
    })?;
    serde_json::to_string(&root)
}

fn fill_in(header: &mut Object<'_>, value: SecretValue<'_>) -> serde_json::Result<()> {
    match value {
        SecretValue::Found(value) => header.set("value", &String::from_utf8_lossy(value)),
        SecretValue::NoKey | SecretValue::NoSecret => header.set("value", &Value::Null),
    }
}
