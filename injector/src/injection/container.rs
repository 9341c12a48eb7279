//! The sidecar's container.

use k8s_openapi::api::core::v1::{Container, ContainerPort, Pod, VolumeMount};
use trilby_sidecar_args::mount;

use super::{Cluster, Live, Profile, environment, probes, security, sidecar::Sidecar, volumes};

/// Where the sidecar's binary is in its image.
const BINARY: &str = "/daprd";

/// The container, given what else it mounts.
pub(super) fn build(
    pod: &Pod,
    cluster: &Cluster,
    sidecar: &Sidecar<'_>,
    (live, mut mounts): (Live<'_>, Vec<VolumeMount>),
) -> Container {
    if cluster.token_volume {
        mounts.push(volumes::token_mount());
    }
    if let Some(components) = &sidecar.components {
        mounts.push(volumes::mount(
            mount::COMPONENT_SOCKETS_VOLUME,
            components.sockets_folder,
        ));
    }
    let variables = environment::of(cluster, sidecar, live);
    let (command, args) = command_line(pod, cluster, sidecar);
    Container {
        name: mount::CONTAINER.to_owned(),
        image: Some(sidecar.image.clone()),
        image_pull_policy: Some(cluster.sidecar.pull_policy.as_str().to_owned()),
        command,
        args: Some(args),
        ports: Some(ports(sidecar)),
        security_context: Some(security::context(&cluster.sidecar, sidecar, &variables)),
        env: Some(variables),
        volume_mounts: (!mounts.is_empty()).then_some(mounts),
        readiness_probe: Some(probes::readiness(sidecar.readiness)),
        liveness_probe: Some(probes::liveness(sidecar.liveness)),
        startup_probe: sidecar.is_first().then(probes::startup),
        resources: Some(sidecar.resources.clone()),
        restart_policy: sidecar.native.then(|| "Always".to_owned()),
        ..Container::default()
    }
}

/// The image's entry point is kept unless the pod goes where it is ignored: the binary then is the command.
fn command_line(
    pod: &Pod,
    cluster: &Cluster,
    sidecar: &Sidecar<'_>,
) -> (Option<Vec<String>>, Vec<String>) {
    let mut args = sidecar.args.render();
    if sidecar.profile == Profile::Default {
        // Upstream says nothing here, and sidecars serve metrics all the same.
        args.retain(|arg| arg != "--enable-metrics=false");
    }
    if ignores_entrypoint(pod, cluster) {
        return (Some(vec![BINARY.to_owned()]), args);
    }
    args.insert(0, BINARY.to_owned());
    (None, args)
}

fn ignores_entrypoint(pod: &Pod, cluster: &Cluster) -> bool {
    let spec = pod.spec.as_ref();
    let tolerations = spec.and_then(|spec| spec.tolerations.as_deref());
    let ignoring = &cluster.sidecar.ignore_entrypoint_tolerations;
    tolerations
        .unwrap_or_default()
        .iter()
        .any(|toleration| ignoring.contains(toleration))
}

fn ports(sidecar: &Sidecar<'_>) -> Vec<ContainerPort> {
    let args = &sidecar.args;
    let ports = [
        ("dapr-http", args.api.dapr_http_port),
        ("dapr-grpc", args.api.dapr_grpc_port),
        ("dapr-internal", args.api.dapr_internal_grpc_port),
        ("dapr-metrics", args.observability.metrics_port),
    ];
    ports
        .map(|(name, port)| ContainerPort {
            name: Some(name.to_owned()),
            container_port: port.into(),
            ..ContainerPort::default()
        })
        .to_vec()
}
