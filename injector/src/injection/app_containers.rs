//! What the other containers of the pod get: the sidecar's ports in their environment, and its sockets. Containers that
//! Components declare come with theirs. Init containers get the same only where the sidecar starts before them: to all
//! others it is no use.

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
    let mut operations = in_list("/spec/containers", containers, sidecar);
    if let Some(components) = &sidecar.components {
        let (variable, sockets) = component_parts(components);
        for container in &components.declared {
            let container = complete(container, &variable, &sockets);
            operations.push(add("/spec/containers/-", json!(container)));
        }
    }
    operations
}

/// The same for the pod's init containers, if the sidecar starts before them; for those places that they have until it is
/// put in front of them.
pub(super) fn init_additions(pod: &Pod, sidecar: &Sidecar<'_>) -> Vec<Operation> {
    let spec = pod.spec.as_ref().filter(|_| sidecar.is_first());
    let containers = spec.and_then(|spec| spec.init_containers.as_deref());
    in_list(
        "/spec/initContainers",
        containers.unwrap_or_default(),
        sidecar,
    )
}

fn in_list(list: &str, containers: &[Container], sidecar: &Sidecar<'_>) -> Vec<Operation> {
    let (components, apps): (Vec<_>, Vec<_>) = containers
        .iter()
        .enumerate()
        .map(|(index, container)| (format!("{list}/{index}"), container))
        .partition(|(_, container)| is_component(sidecar, container));
    let variables = app_variables(sidecar);
    let mut operations = Vec::new();
    for (place, container) in &apps {
        operations.extend(add_variables(place, container, &variables));
    }
    if let Some(path) = sidecar.unix_sockets {
        let sockets = mount(mount::UNIX_SOCKETS_VOLUME, path);
        for (place, container) in &apps {
            operations.extend(add_mount(place, container, &sockets));
        }
    }
    if let Some(parts) = sidecar.components.as_ref().map(component_parts) {
        let (variable, sockets) = parts;
        for (place, container) in &components {
            operations.extend(add_variables(place, container, &variable));
            operations.extend(add_mount(place, container, &sockets));
        }
    }
    operations
}

/// What a component meets the sidecar by.
fn component_parts(components: &Components<'_>) -> ([EnvVar; 1], VolumeMount) {
    let folder = components.sockets_folder;
    let variable = plain(env::COMPONENT_SOCKETS_FOLDER, folder);
    ([variable], mount(mount::COMPONENT_SOCKETS_VOLUME, folder))
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
fn add_variables(place: &str, container: &Container, variables: &[EnvVar]) -> Vec<Operation> {
    let existing = container.env.as_deref().unwrap_or_default();
    let path = format!("{place}/env");
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
fn add_mount(place: &str, container: &Container, mount: &VolumeMount) -> Option<Operation> {
    let existing = container.volume_mounts.as_deref().unwrap_or_default();
    let path = format!("{place}/volumeMounts");
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
