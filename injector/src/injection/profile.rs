//! Profiles: what sidecars are like where neither an annotation nor a single setting says.

use std::{collections::BTreeMap, str::FromStr};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use trilby_sidecar_args::annotation;

use super::{Cluster, Live, annotations::Annotations};

/// How sound a sidecar is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Profile {
    /// As upstream's, setting by setting.
    #[default]
    Default,
    /// - Its container satisfies the Pod Security Standard `restricted`, whatever single settings say.
    /// - It requests CPU and memory, so that autoscalers and schedulers can count with it.
    /// - Where the cluster has native sidecars, it is the first of the init containers, and is ready for calls before
    ///   any other container starts.
    /// - Metrics that are switched off are off.
    Hardened,
}

/// Why a text names no [`Profile`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no profile: default or hardened")]
pub struct ProfileError(String);

/// What a hardened sidecar requests, by resource.
pub type Requests = BTreeMap<String, Quantity>;

// === impl Profile ===

impl FromStr for Profile {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "default" => Ok(Self::Default),
            "hardened" => Ok(Self::Hardened),
            other => Err(ProfileError(other.to_owned())),
        }
    }
}

/// The pod's profile: its annotation's, else the installation's.
pub(super) fn read(annotations: &mut Annotations<'_>, cluster: &Cluster) -> Profile {
    let default = cluster.sidecar.profile;
    match annotations.text(annotation::SIDECAR_PROFILE) {
        None => default,
        Some(text) => text.parse().unwrap_or_else(|reason: ProfileError| {
            annotations.warn(
                annotation::SIDECAR_PROFILE,
                format_args!("{reason}; ignored"),
            );
            default
        }),
    }
}

/// Whether the sidecar is a restartable init container.
pub(super) fn native(
    annotations: &mut Annotations<'_>,
    profile: Profile,
    cluster: &Cluster,
    live: Live<'_>,
) -> bool {
    if let Some(native) = annotations.flag(annotation::ENABLE_NATIVE_SIDECAR) {
        return native;
    }
    if profile == Profile::Hardened && !cluster.sidecar.native && !live.native_sidecars {
        annotations.warn(
            annotation::SIDECAR_PROFILE,
            "the cluster is not known to have native sidecars (Kubernetes 1.29), so the sidecar may start after the \
             app and stop before it",
        );
    }
    cluster.sidecar.native || (profile == Profile::Hardened && live.native_sidecars)
}
