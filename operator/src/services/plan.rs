//! What to do about one workload's Service. Pure.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::{apis::meta::v1::OwnerReference, util::intstr::IntOrString},
};
use kube::api::ObjectMeta;
use tracing::warn;
use trilby_go_syntax::truthy;

use super::workload::Workload;
use crate::{resource::Key, settings::AppTls};

#[cfg(test)]
mod tests;

const APP_ID: &str = "dapr.io/app-id";
const ENABLED: &str = "dapr.io/enabled";
const SERVICE_ANNOTATIONS: &str = "dapr.io/sidecar-svc-annotations";
/// What a Service carries so that Prometheus finds the sidecar's metrics. Ours to remove as well.
const PROMETHEUS: [&str; 4] = [
    "prometheus.io/probe",
    "prometheus.io/scrape",
    "prometheus.io/port",
    "prometheus.io/path",
];
/// The longest name of a Service.
const MAX_NAME: usize = 63;

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(super) enum Plan {
    Nothing,
    Create(Box<Service>),
    Replace(Box<Service>),
}

/// Why a workload cannot have its Service until someone changes something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the pod template's annotation dapr.io/app-id is missing or empty")]
    NoAppId,
    #[error(
        "app id {0:?} is invalid: \"<app-id>-dapr\" must be lower-case letters, digits and dashes, \
         begin and end with a letter or digit, and have at most 63 characters"
    )]
    InvalidAppId(String),
    #[error("Service {service:?} belongs to {owner}, which has the same app id")]
    Owned { service: String, owner: String },
    #[error("Service {0:?} exists with a cluster IP, which cannot be changed; delete it")]
    NotHeadless(String),
}

/// The workload's app id.
pub(super) fn app_id(workload: &Workload) -> Result<&str, Refusal> {
    let app_id = workload
        .annotations
        .get(APP_ID)
        .filter(|app_id| !app_id.is_empty())
        .ok_or(Refusal::NoAppId)?;
    let service = service_name(app_id);
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let valid =
        service.len() <= MAX_NAME && edge(service.chars().next()) && service.chars().all(inner);
    match valid {
        true => Ok(app_id),
        false => Err(Refusal::InvalidAppId(app_id.clone())),
    }
}

/// The name of an app's Service.
pub(super) fn service_name(app_id: &str) -> String {
    format!("{app_id}-dapr")
}

/// Where the workload's Service is; `None` without a usable app id.
pub(super) fn service_key(workload: &Workload) -> Option<Key> {
    let app_id = app_id(workload).ok()?;
    Some(Key {
        namespace: Arc::clone(&workload.key.key.namespace),
        name: service_name(app_id).into(),
    })
}

/// What makes `observed` the Service that `workload` needs. `owns` tells whether the workload with that uid exists
/// and needs the same Service.
pub(super) fn plan(
    workload: &Workload,
    observed: Option<&Service>,
    app_tls: AppTls,
    owns: impl Fn(&str) -> bool,
) -> Result<Plan, Refusal> {
    let app_id = app_id(workload)?;
    let desired = desired(workload, app_id, app_tls);
    let Some(observed) = observed else {
        return Ok(Plan::Create(Box::new(desired)));
    };
    refuse_foreign(workload, observed, owns)?;
    let merged = merge(observed, desired);
    Ok(match merged == *observed {
        true => Plan::Nothing,
        false => Plan::Replace(Box::new(merged)),
    })
}

fn refuse_foreign(
    workload: &Workload,
    observed: &Service,
    owns: impl Fn(&str) -> bool,
) -> Result<(), Refusal> {
    let name = observed.metadata.name.clone().unwrap_or_default();
    let owners = observed.metadata.owner_references.iter().flatten();
    let other = owners
        .filter(|owner| owner.controller == Some(true))
        .find(|owner| *owner.uid != *workload.uid && owns(&owner.uid));
    if let Some(owner) = other {
        return Err(Refusal::Owned {
            service: name,
            owner: format!("{} {}", owner.kind, owner.name),
        });
    }
    let cluster_ip = observed
        .spec
        .as_ref()
        .and_then(|spec| spec.cluster_ip.as_deref());
    match cluster_ip {
        None | Some("" | "None") => Ok(()),
        Some(_) => Err(Refusal::NotHeadless(name)),
    }
}

fn desired(workload: &Workload, app_id: &str, app_tls: AppTls) -> Service {
    Service {
        metadata: ObjectMeta {
            name: Some(service_name(app_id)),
            namespace: Some(workload.key.key.namespace.to_string()),
            labels: Some([(ENABLED.to_owned(), "true".to_owned())].into()),
            annotations: Some(annotations(workload, app_id)),
            owner_references: Some(vec![OwnerReference {
                api_version: workload.key.kind.resource().api_version,
                kind: workload.key.kind.name().to_owned(),
                name: workload.key.key.name.to_string(),
                uid: workload.uid.to_string(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            }]),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            selector: Some(workload.selector.clone()),
            ports: Some(ports(workload, app_tls)),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn annotations(workload: &Workload, app_id: &str) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::from([(APP_ID.to_owned(), app_id.to_owned())]);
    let metrics = workload.annotations.get("dapr.io/enable-metrics");
    if metrics.is_none_or(|value| truthy(value)) {
        let port = port(workload, "dapr.io/metrics-port", 9090).to_string();
        let values = ["true", "true", port.as_str(), "/"];
        let pairs = PROMETHEUS.into_iter().zip(values);
        annotations.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    let listed = workload.annotations.get(SERVICE_ANNOTATIONS);
    for pair in listed.into_iter().flat_map(|list| list.split(',')) {
        let Some((name, value)) = pair.split_once('=') else {
            continue;
        };
        let (name, value) = (name.trim(), value.trim());
        if annotations.contains_key(name) {
            warn!(workload = %workload.key, annotation = name, "annotation of the Service is not the app's to set");
        } else if !name.is_empty() {
            annotations.insert(name.to_owned(), value.to_owned());
        }
    }
    annotations
}

fn ports(workload: &Workload, app_tls: AppTls) -> Vec<ServicePort> {
    let internal = match app_tls {
        AppTls::Mutual => "tls",
        AppTls::Off => "grpc",
    };
    let grpc = port(workload, "dapr.io/grpc-port", 50001);
    let internal_grpc = port(workload, "dapr.io/internal-grpc-port", 50002);
    let metrics = port(workload, "dapr.io/metrics-port", 9090);
    [
        ("dapr-http", 80, 3500, "http"),
        ("dapr-grpc", grpc, grpc, "grpc"),
        ("dapr-internal", internal_grpc, internal_grpc, internal),
        ("dapr-metrics", metrics, metrics, "http"),
    ]
    .map(|(name, port, target, protocol)| ServicePort {
        name: Some(name.to_owned()),
        protocol: Some("TCP".to_owned()),
        port,
        target_port: Some(IntOrString::Int(target)),
        app_protocol: Some(protocol.to_owned()),
        node_port: None,
    })
    .into()
}

/// The annotation's port, or the default if it is absent or no port.
fn port(workload: &Workload, annotation: &str, default: i32) -> i32 {
    workload
        .annotations
        .get(annotation)
        .and_then(|value| value.trim().parse::<u16>().ok())
        .map_or(default, i32::from)
}

/// `observed` with everything that is ours as in `desired`; labels, annotations and settings of others stay.
fn merge(observed: &Service, desired: Service) -> Service {
    let mut merged = observed.clone();
    let labels = merged.metadata.labels.get_or_insert_default();
    labels.extend(desired.metadata.labels.unwrap_or_default());
    let annotations = merged.metadata.annotations.get_or_insert_default();
    annotations.retain(|name, _| !PROMETHEUS.contains(&name.as_str()));
    annotations.extend(desired.metadata.annotations.unwrap_or_default());
    merged.metadata.owner_references = desired.metadata.owner_references;
    let (spec, desired) = (
        merged.spec.get_or_insert_default(),
        desired.spec.unwrap_or_default(),
    );
    spec.cluster_ip = desired.cluster_ip;
    spec.selector = desired.selector;
    spec.ports = desired.ports;
    merged
}
