//! `MCPServer`: a server of the Model Context Protocol, whose tools are called through workflows.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::{non_empty, null_as_default};
use crate::object::{Object, Spec};
use crate::value::{NameValuePair, SecretKeyRef};

/// A server of the Model Context Protocol.
pub type McpServer = Object<McpServerSpec>;

/// How the server is reached, and what happens around each call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct McpServerSpec {
    /// Transport and address.
    #[serde(deserialize_with = "null_as_default")]
    pub endpoint: McpEndpointSpec,
    /// Whether a sidecar keeps running when the server's settings cannot be used. Default: false.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub ignore_errors: bool,
    /// Workflows around calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub middleware: Option<McpMiddlewareSpec>,
    /// What people are told about the server; not read by sidecars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog: Option<McpCatalogSpec>,
}

/// Transport and address: exactly one member is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "message": "exactly one of streamableHTTP, sse, or stdio must be set",
    "rule": "(has(self.streamableHTTP) ? 1 : 0) + (has(self.sse) ? 1 : 0) + (has(self.stdio) ? 1 : 0) == 1",
}]))]
pub struct McpEndpointSpec {
    /// The protocol's HTTP transport.
    #[serde(rename = "streamableHTTP", skip_serializing_if = "Option::is_none")]
    pub streamable_http: Option<McpHttpSpec>,
    /// The protocol's older transport, server-sent events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sse: Option<McpHttpSpec>,
    /// A process that is talked to through its standard streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdio: Option<McpStdioSpec>,
}

/// A server that is reached over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct McpHttpSpec {
    /// URL of the server.
    #[serde(deserialize_with = "null_as_default")]
    #[schemars(length(min = 1))]
    pub url: String,
    /// Version of the protocol, as `2025-06-18`; unset means the newest that both sides know.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub protocol_version: Option<String>,
    /// How long one call may take, as a Go duration.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout: Option<String>,
    /// Headers that every request carries.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub headers: Vec<NameValuePair>,
    /// How the sidecar shows who it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<McpAuthSpec>,
}

/// How the sidecar shows who it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct McpAuthSpec {
    /// Name of the secret-store component for headers and the client secret. Default: `kubernetes`.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub secret_store: Option<String>,
    /// OAuth 2 client credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<McpOauth2Spec>,
    /// A JWT of the sidecar's own identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spiffe: Option<McpSpiffeSpec>,
}

/// OAuth 2 client credentials.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct McpOauth2Spec {
    /// Token endpoint of the authorization server.
    #[serde(deserialize_with = "null_as_default")]
    #[schemars(length(min = 1))]
    pub issuer: String,
    /// The client's id; not every server needs one.
    #[serde(
        rename = "clientID",
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub client_id: Option<String>,
    /// For whom the token is.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub audience: Option<String>,
    /// What the token is for.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub scopes: Vec<String>,
    /// Where in the secret store the client secret is; read when a token is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
}

/// A JWT of the sidecar's own identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct McpSpiffeSpec {
    /// How the JWT is attached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<McpSpiffeJwtSpec>,
}

/// How the JWT is attached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct McpSpiffeJwtSpec {
    /// Name of the header.
    #[serde(deserialize_with = "null_as_default")]
    #[schemars(length(min = 1))]
    pub header: String,
    /// Text before the JWT, as `Bearer `.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub header_value_prefix: Option<String>,
    /// For whom the JWT is.
    #[serde(deserialize_with = "null_as_default")]
    #[schemars(length(min = 1))]
    pub audience: String,
}

/// A process that is talked to through its standard streams.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct McpStdioSpec {
    /// The program.
    #[serde(deserialize_with = "null_as_default")]
    #[schemars(length(min = 1))]
    pub command: String,
    /// Its arguments.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub args: Vec<String>,
    /// Its environment.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub env: Vec<NameValuePair>,
}

/// Workflows around calls, each list in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct McpMiddlewareSpec {
    /// Before a tool is called; an error ends the call.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub before_call_tool: Vec<McpMutatingHookSpec>,
    /// After a tool was called; an error fails the call.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub after_call_tool: Vec<McpMutatingHookSpec>,
    /// Before tools are listed; an error ends the listing.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub before_list_tools: Vec<McpHookSpec>,
    /// After tools were listed.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub after_list_tools: Vec<McpMutatingHookSpec>,
}

/// A workflow that looks on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct McpHookSpec {
    /// The workflow.
    #[serde(deserialize_with = "null_as_default")]
    pub workflow: McpWorkflowSpec,
}

/// A workflow that looks on or changes what passes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct McpMutatingHookSpec {
    /// The workflow.
    #[serde(deserialize_with = "null_as_default")]
    pub workflow: McpWorkflowSpec,
    /// Whether the workflow's output takes the place of what passes. Default: false.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub mutate: bool,
}

/// Names a workflow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct McpWorkflowSpec {
    /// Name of the workflow.
    #[serde(deserialize_with = "null_as_default")]
    #[schemars(length(min = 1))]
    pub workflow_name: String,
    /// App that runs it; unset means this one.
    #[serde(
        rename = "appID",
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub app_id: Option<String>,
}

/// What people are told about a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct McpCatalogSpec {
    /// Name that is shown.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub display_name: Option<String>,
    /// What the server is for.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub description: Option<String>,
    /// Who answers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<McpOwnerSpec>,
    /// Words to find it by.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub tags: Vec<String>,
    /// URLs by name, as `docs` and `runbook`.
    #[serde(
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub links: BTreeMap<String, String>,
}

/// Who answers for a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct McpOwnerSpec {
    /// Name of the team.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub team: Option<String>,
    /// How to reach it.
    #[serde(
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub contact: Option<String>,
}

// === impl McpServerSpec ===

impl Spec for McpServerSpec {
    const KIND: &'static str = "MCPServer";
    const PLURAL: &'static str = "mcpservers";
    const DESCRIPTION: &'static str = "A server of the Model Context Protocol.";
}

impl McpServerSpec {
    /// Name of the secret-store component of the HTTP transport; empty when none is named.
    pub fn secret_store(&self) -> &str {
        let http = self
            .endpoint
            .streamable_http
            .as_ref()
            .or(self.endpoint.sse.as_ref());
        http.and_then(|http| http.auth.as_ref())
            .and_then(|auth| auth.secret_store.as_deref())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_full_server_survives_a_round_trip() {
        let written = json!({
            "apiVersion": "dapr.io/v1alpha1",
            "kind": "MCPServer",
            "metadata": {"name": "payments"},
            "spec": {
                "endpoint": {"streamableHTTP": {
                    "url": "https://mcp", "protocolVersion": "2025-06-18", "timeout": "3s",
                    "headers": [{"name": "x", "value": "y"}],
                    "auth": {
                        "secretStore": "vault",
                        "oauth2": {"issuer": "https://i", "clientID": "c", "audience": "a", "scopes": ["s"],
                                   "secretKeyRef": {"name": "n", "key": "k"}},
                        "spiffe": {"jwt": {"header": "authorization", "headerValuePrefix": "Bearer ", "audience": "p"}},
                    },
                }},
                "ignoreErrors": true,
                "middleware": {
                    "beforeCallTool": [{"workflow": {"workflowName": "w", "appID": "o"}, "mutate": true}],
                    "afterCallTool": [{"workflow": {"workflowName": "w"}}],
                    "beforeListTools": [{"workflow": {"workflowName": "w"}}],
                    "afterListTools": [{"workflow": {"workflowName": "w"}}],
                },
                "catalog": {"displayName": "P", "description": "d", "owner": {"team": "t", "contact": "c"},
                            "tags": ["x"], "links": {"docs": "https://d"}},
            },
            "scopes": ["a"],
        });
        let decoded: McpServer = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(decoded.spec.secret_store(), "vault");
        assert_eq!(serde_json::to_value(decoded).unwrap(), written);
    }

    #[test]
    fn a_process_has_arguments_and_an_environment() {
        let spec: McpServerSpec = serde_json::from_value(json!({
            "endpoint": {"stdio": {"command": "mcp", "args": ["-v"], "env": [{"name": "A", "value": 1}]}},
        }))
        .unwrap();
        let stdio = spec.endpoint.stdio.unwrap();
        assert_eq!((stdio.args.len(), &*stdio.env[0].text()), (1, "1"));
    }
}
