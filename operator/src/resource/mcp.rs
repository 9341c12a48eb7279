//! MCPServers: headers, or the environment of a process, refer to secrets, whose values go out in base64.

use trilby_crds::{API_VERSION_V1ALPHA1, McpServer, NameValuePair};

use super::{Needs, SecretRef, Secrets, fill, object::Object, pair, scopes};

/// Each transport, and its member that may refer to secrets. The first that is set counts.
const TRANSPORTS: [(&str, &str); 3] = [
    ("streamableHTTP", "headers"),
    ("sse", "headers"),
    ("stdio", "env"),
];

pub(super) fn needs(text: &str) -> serde_json::Result<Needs> {
    let server: McpServer = serde_json::from_str(text)?;
    let secrets = match fill::is_kubernetes(server.spec.secret_store()) {
        true => pairs(&server)
            .iter()
            .filter_map(|pair| pair.secret())
            .map(SecretRef::from)
            .collect(),
        false => Box::default(),
    };
    Ok(Needs {
        scopes: scopes(server.scopes),
        secrets,
    })
}

fn pairs(server: &McpServer) -> &[NameValuePair] {
    let endpoint = &server.spec.endpoint;
    let http = endpoint.streamable_http.as_ref().or(endpoint.sse.as_ref());
    match (http, &endpoint.stdio) {
        (Some(http), _) => &http.headers,
        (None, Some(stdio)) => &stdio.env,
        (None, None) => &[],
    }
}

pub(super) fn render(text: &str, secrets: &Secrets<'_>) -> serde_json::Result<String> {
    let mut root = Object::parse(text)?;
    root.set_default("apiVersion", &API_VERSION_V1ALPHA1)?;
    root.set_default("kind", &"MCPServer")?;
    root.edit("spec", |spec| {
        spec.edit("endpoint", |endpoint| {
            let set = TRANSPORTS
                .into_iter()
                .find(|(transport, _)| endpoint.get(transport).is_some());
            let Some((transport, member)) = set else {
                return Ok(());
            };
            endpoint.edit(transport, |transport| fill_in(transport, member, secrets))
        })
    })?;
    serde_json::to_string(&root)
}

fn fill_in(
    transport: &mut Object<'_>,
    member: &str,
    secrets: &Secrets<'_>,
) -> serde_json::Result<()> {
    let mut store = String::new();
    transport.edit("auth", |auth| {
        store = auth.string("secretStore")?;
        Ok(())
    })?;
    let resolves = fill::is_kubernetes(&store);
    transport.edit_each(member, |item| match pair::complete(item)? {
        Some(reference) if resolves => fill::value(item, &secrets(&reference.into_ref())),
        _ => Ok(()),
    })
}
