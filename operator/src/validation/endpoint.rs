//! HTTPEndpoints.

use axum::http::{HeaderName, Uri};
use serde_json::Value;
use trilby_crds::{ClientTlsSpec, HttpEndpoint, NameValuePair, TlsDocumentSpec};

use super::{Subject, decode, facts::Questions, finding::Findings, pairs};

const HEADERS: &str = "spec.headers";

pub(super) fn ask(object: &Value, questions: &mut Questions) {
    let Some(endpoint) = decode::<HttpEndpoint>(object) else {
        return;
    };
    let headers = endpoint
        .spec
        .headers
        .iter()
        .filter_map(NameValuePair::secret);
    let tls = endpoint.spec.client_tls.as_ref().map(documents);
    let documents = tls
        .iter()
        .flatten()
        .filter_map(|(_, document)| document.as_ref()?.secret());
    pairs::ask(questions, endpoint.secret_store(), headers.chain(documents));
}

/// The documents of TLS, with their paths.
fn documents(tls: &ClientTlsSpec) -> [(&'static str, &Option<TlsDocumentSpec>); 3] {
    [
        ("spec.clientTLS.rootCA", &tls.root_ca),
        ("spec.clientTLS.certificate", &tls.certificate),
        ("spec.clientTLS.privateKey", &tls.private_key),
    ]
}

pub(super) fn validate(subject: &mut Subject<'_>) {
    let Some(endpoint) = subject.decode::<HttpEndpoint>() else {
        return;
    };
    let store = endpoint.secret_store();
    url(
        &mut subject.findings,
        "spec.baseUrl",
        &endpoint.spec.base_url,
    );
    let headers = &endpoint.spec.headers;
    pairs::names(&mut subject.findings, (HEADERS, headers), str::to_lowercase);
    header_names(&mut subject.findings, HEADERS, headers);
    subject.pairs(store, HEADERS, headers);
    subject.secret_store("auth.secretStore", store);
    if let Some(tls) = &endpoint.spec.client_tls {
        client_tls(subject, store, tls);
    }
}

/// An address that can be called. It is not repeated: it may hold a password.
pub(super) fn url(findings: &mut Findings, path: &str, text: &str) {
    let parsed = text.parse::<Uri>();
    let is_web = ["http://", "https://"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    let has_host = parsed.is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    if !(is_web && has_host) {
        findings.error(path, || "is no address like https://host/path".to_owned());
    }
}

/// Headers that cannot be sent.
pub(super) fn header_names(findings: &mut Findings, list: &str, headers: &[NameValuePair]) {
    for header in headers.iter().filter(|header| !header.name.is_empty()) {
        if HeaderName::try_from(&header.name).is_err() {
            findings.error(pairs::path(list, header), || {
                "is no name of a header".to_owned()
            });
        }
    }
}

fn client_tls(subject: &mut Subject<'_>, store: &str, tls: &ClientTlsSpec) {
    let is_given = |document: &Option<TlsDocumentSpec>| {
        document
            .as_ref()
            .is_some_and(|document| document.secret().is_some() || !document.text().is_empty())
    };
    let (certificate, key) = (is_given(&tls.certificate), is_given(&tls.private_key));
    if certificate != key {
        subject.findings.error("spec.clientTLS", || {
            "needs both a certificate and a privateKey, or neither of them".to_owned()
        });
    }
    for (path, document) in documents(tls) {
        let Some(document) = document else { continue };
        let Some(reference) = document.secret() else {
            continue;
        };
        if !document.text().is_empty() {
            subject.findings.error(path, || {
                "has both a value and a secretKeyRef: the secret counts, remove the value"
                    .to_owned()
            });
        }
        let known = (&mut subject.findings, subject.facts);
        pairs::reference(known, store, (path.to_owned(), reference));
    }
}
