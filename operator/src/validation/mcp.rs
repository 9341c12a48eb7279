//! MCPServers.

use serde_json::Value;
use trilby_crds::{McpHttpSpec, McpServer, NameValuePair};
use trilby_go_syntax::parse_duration;

use super::{Subject, decode, endpoint, facts::Questions, pairs};

pub(super) fn ask(object: &Value, questions: &mut Questions) {
    let Some(server) = decode::<McpServer>(object) else {
        return;
    };
    let Some((_, http)) = transport(&server) else {
        return;
    };
    // The client secret is the sidecar's to read.
    let headers = http.headers.iter().filter_map(NameValuePair::secret);
    pairs::ask(questions, server.spec.secret_store(), headers);
}

/// The transport over HTTP, with its path.
fn transport(server: &McpServer) -> Option<(&'static str, &McpHttpSpec)> {
    let endpoint = &server.spec.endpoint;
    let streamable = endpoint.streamable_http.as_ref();
    let sse = endpoint.sse.as_ref();
    streamable
        .map(|http| ("spec.endpoint.streamableHTTP", http))
        .or(sse.map(|http| ("spec.endpoint.sse", http)))
}

pub(super) fn validate(subject: &mut Subject<'_>) {
    let Some(server) = subject.decode::<McpServer>() else {
        return;
    };
    if server.spec.endpoint.stdio.is_some() {
        subject.findings.error("spec.endpoint.stdio", || {
            "is refused by sidecars in Kubernetes: use streamableHTTP or sse".to_owned()
        });
    }
    let Some((path, http)) = transport(&server) else {
        return;
    };
    let store = server.spec.secret_store();
    let headers = format!("{path}.headers");
    endpoint::url(&mut subject.findings, &format!("{path}.url"), &http.url);
    if let Some(Err(error)) = http.timeout.as_deref().map(parse_duration) {
        let path = format!("{path}.timeout");
        subject.findings.error(path, || error.to_string());
    }
    pairs::names(
        &mut subject.findings,
        (&headers, &http.headers),
        str::to_lowercase,
    );
    endpoint::header_names(&mut subject.findings, &headers, &http.headers);
    subject.pairs(store, &headers, &http.headers);
    subject.secret_store(&format!("{path}.auth.secretStore"), store);
}
