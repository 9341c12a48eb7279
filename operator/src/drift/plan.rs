//! What is to be done about a definition in the cluster. Pure.
//!
//! Ours takes the place of one that lacks something of it. One that lacks nothing is left, whatever else it has: an older
//! operator takes nothing from the definition of a newer one.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::{
    compare::compare,
    difference::{Difference, Effect},
};

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing: it has all that ours has.
    Leave,
    /// There is none.
    Create,
    /// Ours takes its place, unless an object uses what is lost.
    Replace(Change),
    /// Nothing, for these would be lost, and whether somebody uses them cannot be seen.
    Refuse(Vec<Difference>),
}

/// What taking its place does.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// What ours has and the cluster's lacks.
    pub gains: Vec<Difference>,
    /// Fields that ours does not have, and rules by which ours is stricter.
    pub losses: Vec<Difference>,
}

/// What to do about the definition with the specification `found`.
pub(super) fn plan(ours: &Value, found: Option<&Value>) -> Plan {
    let Some(found) = found else {
        return Plan::Create;
    };
    let mut gains = compare(ours, found);
    gains.retain(|it| it.effect != Effect::Extra);
    if gains.is_empty() {
        return Plan::Leave;
    }
    let mut losses = compare(found, ours);
    losses.retain(|it| !matches!(it.effect, Effect::Extra | Effect::Hidden));
    // A version is read and written by clients, and a status by controllers: no object shows it.
    let unseen = |it: &Difference| matches!(it.effect, Effect::Missing | Effect::NoStatus);
    if losses.iter().any(unseen) {
        losses.retain(unseen);
        return Plan::Refuse(losses);
    }
    Plan::Replace(Change { gains, losses })
}

/// What is applied: `ours`, for the definition `found` and no later state of it. How versions are converted stays as it
/// is, without what the webhook's registration keeps: that one never loses it.
pub(super) fn manifest(
    ours: &CustomResourceDefinition,
    found: Option<&DynamicObject>,
    namespace: &str,
) -> Value {
    let mut manifest = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": ours.metadata.name, "labels": ours.metadata.labels},
        "spec": ours.spec,
    });
    if let Some(found) = found {
        manifest["metadata"]["resourceVersion"] = json!(found.metadata.resource_version);
    }
    if ours.spec.conversion.is_some() {
        let theirs = found.map(|found| &found.data["spec"]["conversion"]);
        let theirs = theirs.filter(|it| it["strategy"] == "Webhook");
        keep_client(&mut manifest["spec"]["conversion"], theirs, namespace);
    }
    manifest
}

fn keep_client(conversion: &mut Value, theirs: Option<&Value>, namespace: &str) {
    let client = &mut conversion["webhook"]["clientConfig"];
    match theirs {
        Some(theirs) => {
            *client = theirs["webhook"]["clientConfig"].clone();
            if let Some(client) = client.as_object_mut() {
                client.remove("caBundle");
            }
        }
        None => client["service"]["namespace"] = namespace.into(),
    }
}

#[cfg(test)]
mod tests;
