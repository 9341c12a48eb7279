//! Volumes of the pod, and what the sidecar mounts.

use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, Pod, ProjectedVolumeSource, ServiceAccountTokenProjection, Volume,
    VolumeMount, VolumeProjection,
};
use serde_json::json;
use trilby_sidecar_args::{annotation, mount};

use super::{
    Cluster,
    annotations::Annotations,
    operation::{Operation, add},
    sidecar::Sidecar,
};

/// `0644`: the sidecar runs as another user than the file's owner.
const TOKEN_MODE: i32 = 0o644;
/// Seconds; Kubernetes renews the token at 80 % of that.
const TOKEN_LIFETIME: i64 = 7200;

/// What the sidecar mounts, in upstream's order.
pub(super) fn sidecar_mounts(
    pod: &Pod,
    sidecar: &Sidecar<'_>,
    annotations: &mut Annotations<'_>,
) -> Vec<VolumeMount> {
    let mut mounts = annotated(pod, annotations, annotation::VOLUME_MOUNTS);
    for mount in &mut mounts {
        mount.read_only = Some(true);
    }
    mounts.extend(annotated(pod, annotations, annotation::VOLUME_MOUNTS_RW));
    if sidecar.unix_sockets.is_some() {
        mounts.push(mount(
            mount::UNIX_SOCKETS_VOLUME,
            mount::UNIX_SOCKETS_FOLDER,
        ));
    }
    mounts
}

/// The token's mount; it follows the annotated ones.
pub(super) fn token_mount() -> VolumeMount {
    VolumeMount {
        read_only: Some(true),
        ..mount(mount::TOKEN_VOLUME, mount::TOKEN_FOLDER)
    }
}

/// A mount of a volume at a path.
pub(super) fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        ..VolumeMount::default()
    }
}

/// Adds the volumes that the pod does not have yet.
pub(super) fn additions(pod: &Pod, cluster: &Cluster, sidecar: &Sidecar<'_>) -> Vec<Operation> {
    let volumes = needed(pod, cluster, sidecar);
    let existing = existing(pod);
    if existing.is_empty() {
        let some = !volumes.is_empty();
        return some
            .then(|| add("/spec/volumes", json!(volumes)))
            .into_iter()
            .collect();
    }
    volumes
        .iter()
        .filter(|volume| !existing.iter().any(|other| other.name == volume.name))
        .map(|volume| add("/spec/volumes/-", json!(volume)))
        .collect()
}

fn needed(pod: &Pod, cluster: &Cluster, sidecar: &Sidecar<'_>) -> Vec<Volume> {
    let mut volumes = Vec::new();
    if sidecar.unix_sockets.is_some() {
        volumes.push(empty(mount::UNIX_SOCKETS_VOLUME, Some("Memory")));
    }
    if cluster.token_volume {
        volumes.push(token(cluster));
    }
    if let Some(components) = &sidecar.components {
        volumes.push(empty(mount::COMPONENT_SOCKETS_VOLUME, None));
        let mounts = components.declared.iter().flat_map(|c| &c.volume_mounts);
        for mount in mounts.flatten() {
            let known = |volume: &Volume| volume.name == mount.name;
            if !existing(pod).iter().any(known) && !volumes.iter().any(known) {
                volumes.push(empty(&mount.name, None));
            }
        }
    }
    volumes
}

fn empty(name: &str, medium: Option<&str>) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: medium.map(str::to_owned),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// A token of the pod's service account that only sentry accepts.
fn token(cluster: &Cluster) -> Volume {
    let (domain, namespace) = (&cluster.trust_domain, &cluster.namespace);
    let projection = ServiceAccountTokenProjection {
        audience: Some(format!("spiffe://{domain}/ns/{namespace}/dapr-sentry")),
        expiration_seconds: Some(TOKEN_LIFETIME),
        path: "token".to_owned(),
    };
    Volume {
        name: mount::TOKEN_VOLUME.to_owned(),
        projected: Some(ProjectedVolumeSource {
            default_mode: Some(TOKEN_MODE),
            sources: Some(vec![VolumeProjection {
                service_account_token: Some(projection),
                ..VolumeProjection::default()
            }]),
        }),
        ..Volume::default()
    }
}

fn existing(pod: &Pod) -> &[Volume] {
    let spec = pod.spec.as_ref();
    spec.and_then(|spec| spec.volumes.as_deref())
        .unwrap_or_default()
}

/// `volume:path` pairs of an annotation, of volumes that the pod has; the others get a warning.
fn annotated(pod: &Pod, annotations: &mut Annotations<'_>, key: &str) -> Vec<VolumeMount> {
    let text = annotations.filled(key).unwrap_or_default();
    let mut mounts = Vec::new();
    for entry in text.split(',').map(str::trim) {
        let pair = entry
            .split_once(':')
            .filter(|(_, path)| !path.contains(':'));
        match pair {
            Some((volume, path)) if existing(pod).iter().any(|v| v.name == volume) => {
                mounts.push(mount(volume, path));
            }
            Some((volume, _)) => {
                annotations.warn(
                    key,
                    format_args!("the pod has no volume {volume:?}; ignored"),
                );
            }
            None if entry.is_empty() => {}
            None => {
                annotations.warn(
                    key,
                    format_args!("{entry:?} is not <volume>:<path>; ignored"),
                );
            }
        }
    }
    mounts
}
