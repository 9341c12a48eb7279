//! HTTPEndpoints: from resources to what invocations call.

use trilby_bootstrap::Process;
use trilby_crds::{HttpEndpointSpec, TlsDocumentSpec};
use trilby_resources::{Resource, Resources};

use crate::blocks::invoke::{EndpointSettings, Externals};
use crate::channel::{ClientTls, Proxies};
use crate::pipeline::Pipeline;

/// The targets outside; they follow the resources. Calls go through `pipeline`, and over `proxies`.
pub(super) async fn externals(
    process: &Process,
    resources: &Resources,
    (pipeline, proxies): (Pipeline, Proxies),
) -> Externals {
    let externals = Externals::new(pipeline, proxies);
    let mut endpoints = resources.http_endpoints();
    let first = settings_of(&endpoints.borrow_and_update());
    externals.replace(first).await;
    let (shutdown, following) = (process.shutdown(), externals.clone());
    process.spawn("http-endpoints", async move {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                changed = endpoints.changed() => if changed.is_err() {
                    shutdown.cancelled().await;
                    return Ok(());
                }
            }
            let next = settings_of(&endpoints.borrow_and_update());
            following.replace(next).await;
        }
    });
    externals
}

fn settings_of(endpoints: &[Resource<HttpEndpointSpec>]) -> Vec<EndpointSettings> {
    endpoints.iter().map(settings).collect()
}

fn settings(endpoint: &Resource<HttpEndpointSpec>) -> EndpointSettings {
    let spec = &endpoint.spec;
    let headers = spec.headers.iter();
    let tls = spec.client_tls.clone().unwrap_or_default();
    EndpointSettings {
        name: endpoint.name.clone(),
        base_url: spec.base_url.clone(),
        headers: headers
            .map(|pair| (pair.name.clone(), pair.text().into_owned()))
            .collect(),
        tls: ClientTls {
            root_ca: text(tls.root_ca),
            certificate: text(tls.certificate),
            private_key: text(tls.private_key),
        },
        renegotiation: tls.renegotiation,
    }
}

fn text(document: Option<TlsDocumentSpec>) -> Option<String> {
    let text = document?.text().into_owned();
    (!text.is_empty()).then_some(text)
}
