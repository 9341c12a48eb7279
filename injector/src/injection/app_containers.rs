//! What the other containers of the pod get: the sidecar's ports in their environment, and its sockets.

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod, VolumeMount};
use serde_json::json;
use trilby_sidecar_args::{env, mount};

use super::{
    environment::plain,
    operation::{Operation, add},
    sidecar::Sidecar,
    volumes::mount,
};

/// First the environment of every app, then their mounts, then both for component containers.
pub(super) fn additions(pod: &Pod, sidecar: &Sidecar<'_>) -> Vec<Operation> {
    let containers = pod.spec.as_ref().map_or(&[][..], |spec| &spec.containers);
    let (components, apps): (Vec<_>, Vec<_>) = containers
        .iter()
        .enumerate()
        .partition(|(_, container)| is_component(sidecar, container));
    let variables = app_variables(sidecar);
    let mut operations = Vec::new();
    for &(index, container) in &apps {
        operations.extend(add_variables(index, container, &variables));
    }
    if let Some(path) = sidecar.unix_sockets {
        let sockets = mount(mount::UNIX_SOCKETS_VOLUME, path);
        for &(index, container) in &apps {
            operations.extend(add_mount(index, container, &sockets));
        }
    }
    if let Some(folder) = sidecar.components.as_ref().map(|c| c.sockets_folder) {
        let variable = [plain(env::COMPONENT_SOCKETS_FOLDER, folder)];
        let sockets = mount(mount::COMPONENT_SOCKETS_VOLUME, folder);
        for (index, container) in components {
            operations.extend(add_variables(index, container, &variable));
            operations.extend(add_mount(index, container, &sockets));
        }
    }
    operations
}

fn is_component(sidecar: &Sidecar<'_>, container: &Container) -> bool {
    let components = sidecar.components.as_ref();
    components.is_some_and(|components| components.containers.contains(&container.name.as_str()))
}

fn app_variables(sidecar: &Sidecar<'_>) -> Vec<EnvVar> {
    let api = &sidecar.args.api;
    let mut variables = vec![
        plain(env::APP_DAPR_HTTP_PORT, &api.dapr_http_port.to_string()),
        plain(env::APP_DAPR_GRPC_PORT, &api.dapr_grpc_port.to_string()),
    ];
    // A protocol that is none of ours has no name to tell.
    if let Ok(protocol) = sidecar.args.app.protocol() {
        variables.push(plain(env::APP_PROTOCOL, &protocol.to_string()));
    }
    variables
}

/// Adds those variables whose names the container does not have.
fn add_variables(index: usize, container: &Container, variables: &[EnvVar]) -> Vec<Operation> {
    let existing = container.env.as_deref().unwrap_or_default();
    let path = format!("/spec/containers/{index}/env");
    if existing.is_empty() {
        return vec![add(path, json!(variables))];
    }
    variables
        .iter()
        .filter(|variable| !existing.iter().any(|other| other.name == variable.name))
        .map(|variable| add(format!("{path}/-"), json!(variable)))
        .collect()
}

/// Adds the mount unless the container mounts that volume, or something at that path.
fn add_mount(index: usize, container: &Container, mount: &VolumeMount) -> Option<Operation> {
    let existing = container.volume_mounts.as_deref().unwrap_or_default();
    let path = format!("/spec/containers/{index}/volumeMounts");
    if existing.is_empty() {
        return Some(add(path, json!([mount])));
    }
    let taken = existing
        .iter()
        .any(|other| other.name == mount.name || other.mount_path == mount.mount_path);
    (!taken).then(|| add(format!("{path}/-"), json!(mount)))
}
