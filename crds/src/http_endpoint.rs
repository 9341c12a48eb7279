//! `HTTPEndpoint`: a place outside that apps invoke by name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lenient::{non_empty, null_as_default};
use crate::object::{Object, Spec};
use crate::value::{NameValuePair, SecretKeyRef, any_json, text_of};

/// A place outside that apps invoke by name.
pub type HttpEndpoint = Object<HttpEndpointSpec>;

/// Where the endpoint is and how it is called.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpEndpointSpec {
    /// URL that paths of calls are put behind.
    #[serde(deserialize_with = "null_as_default")]
    pub base_url: String,
    /// Headers that every call carries.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub headers: Vec<NameValuePair>,
    /// TLS of the connection, for `https` URLs; unset means the system's trust anchors and no client certificate.
    #[serde(rename = "clientTLS", skip_serializing_if = "Option::is_none")]
    pub client_tls: Option<ClientTlsSpec>,
}

/// TLS of a client.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientTlsSpec {
    /// Trust anchors, PEM.
    #[serde(rename = "rootCA", skip_serializing_if = "Option::is_none")]
    pub root_ca: Option<TlsDocumentSpec>,
    /// Client certificate, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<TlsDocumentSpec>,
    /// Key of the client certificate, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key: Option<TlsDocumentSpec>,
    /// Whether the server may ask for another handshake. Default: `Never`.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(extend("enum" = ["Never", "OnceAsClient", "FreelyAsClient"], "x-default" = "Never"))]
    pub renegotiation: Option<String>,
}

/// A PEM document, inline or in a secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsDocumentSpec {
    /// The document itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_json")]
    pub value: Option<Value>,
    /// Where in the secret store the document is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
}

// === impl HttpEndpointSpec ===

impl Spec for HttpEndpointSpec {
    const KIND: &'static str = "HTTPEndpoint";
    const PLURAL: &'static str = "httpendpoints";
    const HAS_AUTH: bool = true;
    const DESCRIPTION: &'static str = "A place outside that apps invoke by name.";
}

// === impl TlsDocumentSpec ===

impl TlsDocumentSpec {
    /// The reference to a secret, if there really is one: upstream writes an empty reference for "none".
    pub fn secret(&self) -> Option<&SecretKeyRef> {
        self.secret_key_ref
            .as_ref()
            .filter(|secret| !secret.name.is_empty())
    }

    /// The inline document; nothing for `null`.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        text_of(self.value.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_full_endpoint_survives_a_round_trip() {
        let written = json!({
            "apiVersion": "dapr.io/v1alpha1",
            "kind": "HTTPEndpoint",
            "metadata": {"name": "github"},
            "spec": {
                "baseUrl": "https://api.github.com",
                "headers": [{"name": "authorization", "secretKeyRef": {"name": "gh", "key": "token"}}],
                "clientTLS": {
                    "rootCA": {"value": "PEM"},
                    "certificate": {"secretKeyRef": {"name": "tls", "key": "crt"}},
                    "privateKey": {"secretKeyRef": {"name": "tls", "key": "key"}},
                    "renegotiation": "OnceAsClient",
                },
            },
            "auth": {"secretStore": "vault"},
            "scopes": ["a"],
        });
        let decoded: HttpEndpoint = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(decoded.secret_store(), "vault");
        assert_eq!(serde_json::to_value(decoded).unwrap(), written);
    }

    #[test]
    fn what_upstream_writes_for_nothing_is_nothing() {
        let decoded: HttpEndpoint = serde_json::from_value(json!({
            "spec": {"baseUrl": "http://x", "headers": null, "clientTLS": {
                "rootCA": null, "certificate": {"value": null, "secretKeyRef": {"name": "", "key": ""}},
            }},
            "auth": {"secretStore": ""},
        }))
        .unwrap();
        let tls = decoded.spec.client_tls.unwrap();
        assert_eq!(tls.root_ca, None);
        let certificate = tls.certificate.unwrap();
        assert_eq!((certificate.secret(), &*certificate.text()), (None, ""));
    }
}
