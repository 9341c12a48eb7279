//! HTTPEndpoints: headers and TLS documents refer to secrets, whose values go out in base64.

use serde_json::{Value, json};
use trilby_crds::{API_VERSION_V1ALPHA1, HttpEndpoint};

use super::{Needs, SecretRef, Secrets, fill, object::Object, pair, scopes};

/// Members of `clientTLS` that may stand in a secret.
const DOCUMENTS: [&str; 3] = ["rootCA", "certificate", "privateKey"];

pub(super) fn needs(text: &str) -> serde_json::Result<Needs> {
    let endpoint: HttpEndpoint = serde_json::from_str(text)?;
    let mut secrets = Vec::new();
    if fill::is_kubernetes(endpoint.secret_store()) {
        let headers = endpoint
            .spec
            .headers
            .iter()
            .filter_map(|header| header.secret());
        secrets.extend(headers.map(SecretRef::from));
        if let Some(tls) = &endpoint.spec.client_tls {
            let documents = [&tls.root_ca, &tls.certificate, &tls.private_key]
                .into_iter()
                .flatten();
            secrets.extend(
                documents
                    .filter_map(|document| document.secret())
                    .map(SecretRef::from),
            );
        }
    }
    Ok(Needs {
        scopes: scopes(endpoint.scopes),
        secrets: secrets.into(),
    })
}

pub(super) fn render(text: &str, secrets: &Secrets<'_>) -> serde_json::Result<String> {
    let mut root = Object::parse(text)?;
    root.set_default("apiVersion", &API_VERSION_V1ALPHA1)?;
    root.set_default("kind", &"HTTPEndpoint")?;
    root.set_default("spec", &json!({"baseUrl": ""}))?;
    root.set_default("auth", &json!({"secretStore": ""}))?;
    let mut store = String::new();
    root.edit("auth", |auth| {
        store = auth.string("secretStore")?;
        Ok(())
    })?;
    let resolves = fill::is_kubernetes(&store);
    root.edit("spec", |spec| {
        spec.set_default("headers", &Value::Null)?;
        spec.edit_each("headers", |header| match pair::complete(header)? {
            Some(reference) if resolves => fill::value(header, &secrets(&reference.into_ref())),
            _ => Ok(()),
        })?;
        spec.edit("clientTLS", |tls| {
            for name in DOCUMENTS {
                tls.edit(name, |document| match pair::reference(document)? {
                    Some(reference) if resolves => {
                        fill::value(document, &secrets(&reference.into_ref()))
                    }
                    _ => Ok(()),
                })?;
            }
            Ok(())
        })
    })?;
    serde_json::to_string(&root)
}
