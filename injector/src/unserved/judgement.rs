//! What is to be thought of a pod. Pure.

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::OwnerReference};
use trilby_go_syntax::truthy;
use trilby_sidecar_args::annotation;

use super::{
    pod::WatchedPod,
    selection::{Exclusion, Labels, Selection},
};
use crate::injection;

/// What a pod is to us.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Look {
    /// It wants no sidecar, opted out, or is over.
    Nothing,
    /// It has its sidecar.
    Served {
        /// The UID of what made it.
        controller: Option<Box<str>>,
    },
    /// It lacks its sidecar.
    Lacking(Box<Lacking>),
}

/// A pod that lacks its sidecar.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lacking {
    pub(super) reason: Reason,
    pub(super) controller: Option<OwnerReference>,
}

/// Why a pod lacks its sidecar, as far as can be known afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// There is no webhook.
    NotRegistered,
    /// The webhook's selectors leave it out.
    Excluded(Exclusion),
    /// The injector would refuse it, with these words.
    Refused(Box<str>),
    /// It is older than the webhook.
    BeforeInjector,
    /// One of Kubernetes' own controllers made it, to which the injector never says no: nobody answered.
    NoAnswer,
    /// Nobody answered, its author may not have sidecars injected, or a match condition left it out.
    Unknown,
}

/// Kinds whose pods are made by accounts that are always allowed, and anew when they go.
const REMADE: [(&str, &str); 4] = [
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("v1", "ReplicationController"),
];

/// Such a kind, too, but a pod that is taken from it counts as failed.
const JOB: (&str, &str) = ("batch/v1", "Job");

/// What judging takes beside the pod.
pub(super) struct Bench<'a> {
    /// What is registered; `None`: nothing.
    pub(super) selection: Option<&'a Selection>,
    /// Labels of the pod's namespace, where known.
    pub(super) namespace: Option<&'a Labels>,
    /// Why a pod would be refused.
    pub(super) refusal: &'a (dyn Fn(&Pod) -> Option<String> + Sync),
}

impl Look {
    /// See the type.
    pub(super) fn at(pod: &WatchedPod, bench: &Bench<'_>) -> Self {
        if !pod.is_annotated() || pod.is_ending() || opted_out(pod) {
            return Self::Nothing;
        }
        let admitted = pod.at_admission();
        if !injection::asks(&admitted) {
            return Self::Nothing;
        }
        let controller = pod.controller().cloned();
        if injection::has_sidecar(&admitted) {
            return Self::Served {
                controller: controller.map(|controller| controller.uid.into()),
            };
        }
        let reason = reason(pod, &admitted, bench);
        Self::Lacking(Box::new(Lacking { reason, controller }))
    }
}

impl Lacking {
    /// Whether it would come back with a sidecar if it went.
    pub(super) fn can_be_repaired(&self) -> bool {
        let curable = match self.reason {
            Reason::NotRegistered | Reason::Excluded(_) | Reason::Refused(_) => false,
            Reason::BeforeInjector | Reason::NoAnswer | Reason::Unknown => true,
        };
        curable && self.controller.as_ref().is_some_and(is_remade)
    }
}

impl Reason {
    /// One word, for metrics.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::NotRegistered => "not_registered",
            Self::Excluded(_) => "excluded",
            Self::Refused(_) => "refused",
            Self::BeforeInjector => "before_injector",
            Self::NoAnswer => "no_answer",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether pods of this owner come back when they go.
pub(super) fn is_remade(owner: &OwnerReference) -> bool {
    REMADE.contains(&(&*owner.api_version, &*owner.kind))
}

fn opted_out(pod: &WatchedPod) -> bool {
    let leave = pod.annotation(annotation::LEAVE_WITHOUT_SIDECAR);
    leave.is_some_and(truthy)
}

fn reason(pod: &WatchedPod, admitted: &Pod, bench: &Bench<'_>) -> Reason {
    let Some(selection) = bench.selection else {
        return Reason::NotRegistered;
    };
    let none = Labels::new();
    let labels = pod.metadata.labels.as_ref().unwrap_or(&none);
    if let Some(exclusion) = selection.excludes(bench.namespace, labels) {
        return Reason::Excluded(exclusion);
    }
    if let Some(refusal) = (bench.refusal)(admitted) {
        return Reason::Refused(refusal.into());
    }
    let created = pod.metadata.creation_timestamp.as_ref();
    if created.is_some_and(|created| {
        selection
            .since
            .as_ref()
            .is_some_and(|since| created < since)
    }) {
        return Reason::BeforeInjector;
    }
    let built_in =
        |owner: &OwnerReference| is_remade(owner) || (&*owner.api_version, &*owner.kind) == JOB;
    if pod.controller().is_some_and(built_in) {
        Reason::NoAnswer
    } else {
        Reason::Unknown
    }
}

#[cfg(test)]
mod tests;
