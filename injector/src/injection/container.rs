//! The sidecar's container.

use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, ContainerPort, EnvVar, HTTPGetAction, Pod, Probe, SeccompProfile,
        SecurityContext, TCPSocketAction, VolumeMount, WindowsSecurityContextOptions,
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use trilby_sidecar_args::{mount, port};

use super::{
    Cluster, Live, SidecarDefaults, environment,
    sidecar::{ProbeTimes, Sidecar},
    volumes,
};

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
        security_context: Some(security(&cluster.sidecar, sidecar, &variables)),
        env: Some(variables),
        volume_mounts: (!mounts.is_empty()).then_some(mounts),
        readiness_probe: Some(readiness(&sidecar.readiness)),
        liveness_probe: Some(liveness(&sidecar.liveness)),
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
    let (binary, mut args) = match sidecar.debug {
        Some(port) => ("/dlv", debugger(port)),
        None => (BINARY, Vec::new()),
    };
    args.extend(sidecar.args.render());
    if ignores_entrypoint(pod, cluster) {
        return (Some(vec![binary.to_owned()]), args);
    }
    args.insert(0, binary.to_owned());
    (None, args)
}

fn debugger(port: u16) -> Vec<String> {
    let listen = format!(":{port}");
    [
        "--listen",
        &listen,
        "--accept-multiclient",
        "--headless=true",
        "--log",
        "--api-version=2",
        "exec",
        BINARY,
        "--",
    ]
    .map(str::to_owned)
    .to_vec()
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
        ("dapr-http", Some(args.api.dapr_http_port)),
        ("dapr-grpc", Some(args.api.dapr_grpc_port)),
        ("dapr-internal", Some(args.api.dapr_internal_grpc_port)),
        ("dapr-metrics", Some(args.observability.metrics_port)),
        ("dapr-debug", sidecar.debug),
    ];
    ports
        .into_iter()
        .filter_map(|(name, port)| {
            Some(ContainerPort {
                name: Some(name.to_owned()),
                container_port: port?.into(),
                ..ContainerPort::default()
            })
        })
        .collect()
}

fn security(
    defaults: &SidecarDefaults,
    sidecar: &Sidecar<'_>,
    variables: &[EnvVar],
) -> SecurityContext {
    let context = SecurityContext {
        allow_privilege_escalation: Some(false),
        run_as_non_root: Some(defaults.run_as_non_root),
        run_as_user: defaults.run_as_user,
        run_as_group: defaults.run_as_group,
        read_only_root_filesystem: Some(defaults.read_only_root_filesystem),
        seccomp_profile: sidecar.seccomp_profile.map(|profile| SeccompProfile {
            type_: profile.to_owned(),
            ..SeccompProfile::default()
        }),
        capabilities: defaults.drop_all_capabilities.then(|| Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            ..Capabilities::default()
        }),
        ..SecurityContext::default()
    };
    if environment::installs_certificates(variables) {
        administrator(context)
    } else {
        context
    }
}

/// On Windows the sidecar must be an administrator to install certificates; settings that contradict that go. On Linux
/// the image's own user still applies.
fn administrator(context: SecurityContext) -> SecurityContext {
    SecurityContext {
        windows_options: Some(WindowsSecurityContextOptions {
            run_as_user_name: Some("ContainerAdministrator".to_owned()),
            ..WindowsSecurityContextOptions::default()
        }),
        run_as_non_root: Some(false),
        read_only_root_filesystem: Some(false),
        run_as_user: None,
        run_as_group: None,
        ..context
    }
}

fn readiness(times: &ProbeTimes) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some("/v1.0/healthz".to_owned()),
            port: public_port(),
            ..HTTPGetAction::default()
        }),
        ..probe(times)
    }
}

/// Only whether something listens: a sidecar that waits for its app is alive.
fn liveness(times: &ProbeTimes) -> Probe {
    Probe {
        tcp_socket: Some(TCPSocketAction {
            port: public_port(),
            ..TCPSocketAction::default()
        }),
        ..probe(times)
    }
}

fn probe(times: &ProbeTimes) -> Probe {
    // Upstream leaves a zero out, which Kubernetes then takes for its own default.
    let some = |number: i32| (number != 0).then_some(number);
    Probe {
        initial_delay_seconds: some(times.delay),
        timeout_seconds: some(times.timeout),
        period_seconds: some(times.period),
        failure_threshold: some(times.threshold),
        ..Probe::default()
    }
}

fn public_port() -> IntOrString {
    IntOrString::Int(port::PUBLIC.into())
}
