//! What the other containers of the pod get: the sidecar's ports in their environment, and its sockets. Containers that
//! Components declare come with theirs.

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod, VolumeMount};
use serde_json::json;
use trilby_sidecar_args::{env, mount};

use super::{
    components::Components,
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
    if let Some(Components {
        sockets_folder: folder,
        declared,
        ..
    }) = &sidecar.components
    {
        let variable = [plain(env::COMPONENT_SOCKETS_FOLDER, folder)];
        let sockets = mount(mount::COMPONENT_SOCKETS_VOLUME, folder);
        for (index, container) in components {
            operations.extend(add_variables(index, container, &variable));
            operations.extend(add_mount(index, container, &sockets));
        }
        for container in declared {
            let container = complete(container, &variable, &sockets);
            operations.push(add("/spec/containers/-", json!(container)));
        }
    }
    operations
}

/// A declared container with what it meets the sidecar by. The variable comes last: Kubernetes takes the last of a name.
fn complete(declared: &Container, variable: &[EnvVar], sockets: &VolumeMount) -> Container {
    let mut container = declared.clone();
    let env = container.env.get_or_insert_default();
    env.extend_from_slice(variable);
    let mounts = container.volume_mounts.get_or_insert_default();
    if !is_mounted(mounts, sockets) {
        mounts.push(sockets.clone());
    }
    container
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
    (!is_mounted(existing, mount)).then(|| add(format!("{path}/-"), json!(mount)))
}

fn is_mounted(existing: &[VolumeMount], mount: &VolumeMount) -> bool {
    existing
        .iter()
        .any(|other| other.name == mount.name || other.mount_path == mount.mount_path)
}
