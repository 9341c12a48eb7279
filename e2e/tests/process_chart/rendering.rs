//! What the chart renders, for every set of values that has a golden file.

use std::path::PathBuf;

use serde_json::{Value, json};
use trilby_testkit::{ApiServer, eventually::within};

use crate::{CHART, LIMIT, NAMESPACE};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/golden");

/// The sets of values.
fn values() -> Vec<PathBuf> {
    let files = std::fs::read_dir(GOLDEN).expect("the chart has golden files");
    let paths = files.map(|file| file.expect("the folder can be read").path());
    let mut values: Vec<_> = paths
        .filter(|path| path.to_string_lossy().ends_with(".values.yaml"))
        .collect();
    values.sort();
    values
}

/// A kind of somebody else's that takes anything.
fn foreign(plural: &str, kind: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.monitoring.coreos.com")},
        "spec": {
            "group": "monitoring.coreos.com", "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}

#[tokio::test]
async fn the_api_server_takes_every_object_whatever_the_values() {
    let api = ApiServer::start().await;
    api.namespace_named(NAMESPACE).await;
    api.kubectl(&["apply", "-f", &format!("{CHART}/crds")])
        .await;
    for (plural, kind) in [
        ("podmonitors", "PodMonitor"),
        ("prometheusrules", "PrometheusRule"),
    ] {
        api.apply(&foreign(plural, kind).to_string()).await;
    }
    let sets = values();
    assert!(sets.len() > 10, "{sets:?}");
    let paths = sets
        .iter()
        .map(|path| vec!["--values", path.to_str().expect("UTF-8")]);
    for options in std::iter::once(Vec::new()).chain(paths) {
        let rendered = api.helm_template(NAMESPACE, CHART, &options).await;
        let again = api.helm_template(NAMESPACE, CHART, &options).await;
        assert_eq!(rendered, again, "{options:?} render the same twice");
        // kubectl asks the server to refuse unknown and repeated fields. New kinds take a moment to be served.
        within(
            LIMIT,
            &format!("the objects of {options:?} are taken"),
            async || {
                let arguments = ["apply", "--dry-run=server", "-f", "-"];
                let taken = api.try_kubectl_with_input(&arguments, &rendered).await;
                taken.map_err(|error| format!("{error:#}"))
            },
        )
        .await;
    }
}
