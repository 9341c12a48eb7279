//! Whatever renders, parses to the same.

use std::{fmt::Debug, str::FromStr};

use clap::Parser;
use proptest::{
    collection::vec,
    option,
    prelude::{Just, Strategy, any, prop_oneof, proptest},
    sample::select,
};

use crate::{
    ApiArgs, AppArgs, AppHealthArgs, CommaList, ControlPlaneArgs, Mode, ObservabilityArgs,
    ProcessArgs, ResourceArgs, SidecarArgs, Written, port,
};

fn text() -> impl Strategy<Value = String> {
    // Control characters aside, which no container runtime hands over faithfully.
    "\\PC{0,12}"
}

fn list() -> impl Strategy<Value = CommaList> {
    text().prop_map(CommaList::from)
}

/// One of a few good spellings; what cannot be read is not rendered back into the same value.
fn written<T: FromStr + Debug + 'static>(
    spellings: &'static [&'static str],
) -> impl Strategy<Value = Written<T>>
where
    T::Err: Debug,
{
    select(spellings).prop_map(Written::unchecked)
}

fn app() -> impl Strategy<Value = AppArgs> {
    let health = (
        any::<bool>(),
        text(),
        any::<i64>(),
        any::<i64>(),
        any::<i64>(),
    )
        .prop_map(
            |(enabled, path, interval, timeout, threshold)| match enabled {
                true => AppHealthArgs {
                    enable_app_health_check: true,
                    app_health_check_path: path,
                    app_health_probe_interval: interval,
                    app_health_probe_timeout: timeout,
                    app_health_threshold: threshold,
                },
                false => AppHealthArgs::default(),
            },
        );
    (
        (
            text(),
            any::<u16>(),
            written(&["", "h2c", "GRPC"]),
            any::<bool>(),
            text(),
        ),
        option::of(any::<i64>()),
        option::of(written(&["3s", "0"])),
        health,
    )
        .prop_map(
            |((id, port, protocol, ssl, host), concurrency, timeout, health)| AppArgs {
                app_id: id,
                app_port: port,
                app_protocol: protocol,
                app_ssl: ssl,
                app_channel_address: host,
                app_max_concurrency: concurrency,
                app_binding_options_timeout: timeout,
                health,
            },
        )
}

fn api() -> impl Strategy<Value = ApiArgs> {
    (
        (any::<u16>(), any::<u16>(), any::<u16>(), any::<u16>()),
        (text(), list(), text(), text(), list()),
        (
            option::of(written(&["4Mi", "-1"])),
            option::of(any::<i64>()),
        ),
        (option::of(written(&["8k"])), option::of(any::<i64>())),
        option::of(any::<bool>()),
    )
        .prop_map(|(ports, addresses, body, head, logging)| ApiArgs {
            dapr_http_port: ports.0,
            dapr_grpc_port: ports.1,
            dapr_internal_grpc_port: ports.2,
            dapr_internal_grpc_listen_address: addresses.0,
            dapr_listen_addresses: addresses.1,
            dapr_public_port: ports.3,
            dapr_public_listen_address: addresses.2,
            unix_domain_socket: addresses.3,
            allowed_origins: addresses.4,
            max_body_size: body.0,
            dapr_http_max_request_size: body.1,
            read_buffer_size: head.0,
            dapr_http_read_buffer_size: head.1,
            enable_api_logging: logging,
        })
}

fn control_plane() -> impl Strategy<Value = ControlPlaneArgs> {
    let actors = prop_oneof![
        text().prop_map(|service| (CommaList::default(), service)),
        "[a-z:0-9,]{1,12}".prop_map(|address| (address.into(), String::new())),
    ];
    (
        (text(), text(), text(), text(), text()),
        (vec(list(), 0..3), vec(list(), 0..3), 1..u32::MAX),
        any::<bool>(),
        actors,
        option::of(written(&["30s"])),
    )
        .prop_map(
            |(addresses, (audiences, scheduler, streams), mtls, actors, timeout)| {
                ControlPlaneArgs {
                    control_plane_address: addresses.0,
                    sentry_address: addresses.1,
                    control_plane_trust_domain: addresses.2,
                    control_plane_namespace: addresses.3,
                    sentry_request_jwt_audiences: audiences,
                    enable_mtls: mtls,
                    placement_host_address: actors.0,
                    actors_service: actors.1,
                    reminders_service: addresses.4,
                    scheduler_host_address: scheduler,
                    scheduler_job_streams: streams,
                    actors_disseminate_timeout: timeout,
                }
            },
        )
}

fn resources() -> impl Strategy<Value = ResourceArgs> {
    (
        (vec(list(), 0..3), text(), vec(list(), 0..3)),
        option::of(written(&["1m"])),
        any::<bool>(),
        vec(list(), 0..2),
    )
        .prop_map(
            |((paths, old, config), interval, secrets, endpoints)| ResourceArgs {
                resources_path: paths,
                components_path: old,
                config,
                hot_reload_reconcile_interval: interval,
                disable_builtin_k8s_secret_store: secrets,
                disable_init_endpoints: endpoints,
            },
        )
}

fn observability() -> impl Strategy<Value = ObservabilityArgs> {
    let metrics = prop_oneof![
        any::<u16>().prop_map(|port| (true, port)),
        Just((false, port::METRICS)),
    ];
    (
        (written(&["info", "DEBUG"]), any::<bool>(), text()),
        metrics,
        (text(), any::<bool>(), any::<u16>()),
    )
        .prop_map(|(log, metrics, rest)| ObservabilityArgs {
            log_level: log.0,
            log_as_json: log.1,
            log_file: log.2,
            enable_metrics: metrics.0,
            metrics_port: metrics.1,
            metrics_listen_address: rest.0,
            enable_profiling: rest.1,
            profile_port: rest.2,
        })
}

fn process() -> impl Strategy<Value = ProcessArgs> {
    (
        any::<i64>(),
        option::of(written(&["5s", "1h2m"])),
        (any::<bool>(), any::<bool>(), any::<bool>()),
    )
        .prop_map(|(grace, block, flags)| ProcessArgs {
            dapr_graceful_shutdown_seconds: grace,
            dapr_block_shutdown_duration: block,
            version: flags.0,
            build_info: flags.1,
            wait: flags.2,
        })
}

proptest! {
    #[test]
    fn what_renders_parses_to_the_same(
        mode in prop_oneof![Just(Mode::Standalone), Just(Mode::Kubernetes)],
        app in app(),
        api in api(),
        control_plane in control_plane(),
        resources in resources(),
        observability in observability(),
        process in process(),
    ) {
        let args = SidecarArgs { mode, app, api, control_plane, resources, observability, process };
        let rendered = args.render();
        let line = std::iter::once("daprd").chain(rendered.iter().map(String::as_str));
        assert_eq!(SidecarArgs::try_parse_from(line).unwrap(), args, "{rendered:?}");
    }
}
