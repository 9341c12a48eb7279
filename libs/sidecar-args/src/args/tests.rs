use std::time::Duration;

use clap::Parser;
use proptest::{
    collection::vec,
    option,
    prelude::{Just, Strategy, any, prop_oneof, proptest},
};

use super::{
    ApiArgs, AppArgs, AppHealthArgs, ControlPlaneArgs, ObservabilityArgs, ProcessArgs,
    ResourceArgs, SidecarArgs,
};
use crate::{AppProtocol, CommaList, InitEndpoint, Mode, Written};

fn parse(args: &[&str]) -> Result<SidecarArgs, clap::Error> {
    SidecarArgs::try_parse_from([&["daprd"], args].concat())
}

fn refusal(args: &[&str]) -> String {
    parse(args).expect_err("must be refused").to_string()
}

#[test]
fn an_empty_command_line_is_the_default() {
    assert_eq!(parse(&[]).unwrap(), SidecarArgs::default());
}

#[test]
fn defaults_are_upstreams() {
    let args = SidecarArgs::default();
    assert_eq!(
        (args.api.dapr_http_port, args.api.dapr_grpc_port),
        (3500, 50001)
    );
    assert_eq!(args.api.body_limit(), Ok(4 << 20));
    assert_eq!(args.api.read_buffer(), Ok(4096));
    assert_eq!(args.app.max_concurrency(), None);
    assert_eq!(args.app.health.timeout(), Duration::from_millis(500));
    assert_eq!(args.process.grace(), Some(Duration::from_secs(5)));
    assert_eq!(
        args.control_plane.disseminate_timeout(),
        Ok(Duration::from_secs(30))
    );
    assert_eq!(
        args.resources.reconcile_interval(),
        Ok(Duration::from_secs(60))
    );
}

#[test]
fn booleans_stand_alone_or_carry_a_value() {
    assert!(parse(&["--app-ssl"]).unwrap().app.app_ssl);
    assert!(
        !parse(&["--enable-metrics=false"])
            .unwrap()
            .observability
            .enable_metrics
    );
    let args = parse(&["--enable-api-logging", "--enable-mtls=1"]).unwrap();
    assert_eq!(args.api.enable_api_logging, Some(true));
    assert!(args.control_plane.enable_mtls);
    assert!(refusal(&["--app-ssl=maybe"]).contains("expected true or false"));
}

#[test]
fn a_value_may_begin_with_a_dash() {
    let args = parse(&["--dapr-graceful-shutdown-seconds", "-1", "--app-id", "-x"]).unwrap();
    assert_eq!(args.process.grace(), Some(Duration::from_secs(5)));
    assert_eq!(args.app.app_id, "-x");
}

#[test]
fn bad_values_are_refused_by_flag_and_reason() {
    for (args, flag, reason) in [
        (["--mode", "swarm"], "--mode", "invalid mode: swarm"),
        (
            ["--app-port", "70000"],
            "--app-port",
            "invalid port \"70000\"",
        ),
        (
            ["--app-protocol", "ftp"],
            "--app-protocol",
            "invalid app protocol \"ftp\"",
        ),
        (
            ["--log-level", "loud"],
            "--log-level",
            "invalid log level \"loud\"",
        ),
        (
            ["--max-body-size", "4Q"],
            "--max-body-size",
            "invalid quantity \"4Q\"",
        ),
        (
            ["--scheduler-job-streams", "0"],
            "--scheduler-job-streams",
            "not in 1..",
        ),
        (
            ["--app-health-threshold", "x"],
            "--app-health-threshold",
            "invalid digit",
        ),
        (
            ["--dapr-block-shutdown-duration", "5"],
            "--dapr-block-shutdown-duration",
            "invalid duration",
        ),
    ] {
        let message = refusal(&args);
        assert!(
            message.contains(flag) && message.contains(reason),
            "{message}"
        );
    }
    assert!(refusal(&["--no-such-flag"]).contains("--no-such-flag"));
}

#[test]
fn empty_ports_mean_none() {
    let args = parse(&["--app-port", "", "--dapr-internal-grpc-port", "0"]).unwrap();
    assert_eq!(
        (args.app.app_port, args.api.dapr_internal_grpc_port),
        (0, 0)
    );
}

#[test]
fn quantities_win_over_the_deprecated_sizes() {
    let both = parse(&[
        "--dapr-http-max-request-size",
        "8",
        "--max-body-size",
        "1Ki",
    ])
    .unwrap();
    assert_eq!(both.api.body_limit(), Ok(1024));
    let old = parse(&[
        "--dapr-http-max-request-size",
        "8",
        "--dapr-http-read-buffer-size",
        "-1",
    ]);
    let old = old.unwrap();
    assert_eq!(old.api.body_limit(), Ok(8 << 20));
    assert_eq!(old.api.read_buffer(), Ok(4096));
}

#[test]
fn placement_comes_from_either_flag() {
    let service = parse(&["--actors-service", "placement:p:50005"])
        .unwrap()
        .control_plane;
    assert_eq!(service.placement_addresses().as_str(), "p:50005");
    assert!(service.without_effect().is_empty());

    let mut both = service;
    both.placement_host_address = "q:1,r:2".into();
    both.reminders_service = "x".into();
    assert_eq!(
        both.placement_addresses().iter().collect::<Vec<_>>(),
        ["q:1", "r:2"]
    );
    assert_eq!(
        both.without_effect(),
        ["actors-service", "reminders-service"]
    );
}

#[test]
fn lists_repeat_and_split() {
    let args = parse(&[
        "--resources-path",
        "/a,/b",
        "--resources-path",
        "/c",
        "--config",
        "one",
    ]);
    let args = args.unwrap().resources;
    assert_eq!(args.paths(), ["/a", "/b", "/c"]);
    assert_eq!(args.configurations(), ["one"]);

    let old = parse(&[
        "--components-path",
        "/old",
        "--disable-init-endpoints",
        " Config,subscribe",
    ]);
    let old = old.unwrap().resources;
    assert_eq!(old.paths(), ["/old"]);
    assert_eq!(
        old.disabled_endpoints(),
        Ok(vec![InitEndpoint::Config, InitEndpoint::Subscribe])
    );
}

#[test]
fn ssl_upgrades_the_protocol() {
    let app = parse(&["--app-protocol", "GRPC", "--app-ssl"]).unwrap().app;
    assert_eq!(app.protocol(), Ok(AppProtocol::Grpcs));
}

/// What an injected sidecar gets by default, in upstream's order.
#[test]
fn the_injectors_arguments_keep_their_order() {
    let mut args = SidecarArgs {
        mode: Mode::Kubernetes,
        ..SidecarArgs::default()
    };
    args.app.app_id = "checkout".into();
    args.app.app_port = 8080;
    args.api.dapr_internal_grpc_port = 50002;
    args.api.dapr_public_port = 3501;
    args.api.dapr_listen_addresses = "[::1],127.0.0.1".into();
    args.process.dapr_graceful_shutdown_seconds = -1;
    args.control_plane.control_plane_address = "op:443".into();
    args.control_plane.sentry_address = "sentry:443".into();
    args.control_plane.placement_host_address = "placement:50005".into();
    args.control_plane.enable_mtls = true;
    args.control_plane.scheduler_host_address = vec!["scheduler:443".into()];
    args.app.app_max_concurrency = Some(2);
    assert_eq!(
        args.render().join(" "),
        "--dapr-http-port 3500 --dapr-grpc-port 50001 --dapr-internal-grpc-port 50002 \
         --dapr-listen-addresses [::1],127.0.0.1 --dapr-public-port 3501 --app-id checkout \
         --app-protocol http --log-level info --dapr-graceful-shutdown-seconds -1 \
         --mode kubernetes --control-plane-address op:443 --sentry-address sentry:443 \
         --app-port 8080 --enable-metrics --metrics-port 9090 \
         --placement-host-address placement:50005 --enable-mtls --app-max-concurrency 2 \
         --scheduler-host-address scheduler:443"
    );
}

fn text() -> impl Strategy<Value = String> {
    // Control characters aside, which no container runtime hands over faithfully.
    "\\PC{0,12}"
}

fn list() -> impl Strategy<Value = CommaList> {
    text().prop_map(CommaList::from)
}

/// One of a few good spellings; what cannot be read is not rendered back into the same value.
fn written<T: std::str::FromStr + std::fmt::Debug + 'static>(
    spellings: &'static [&'static str],
) -> impl Strategy<Value = Written<T>>
where
    T::Err: std::fmt::Debug,
{
    proptest::sample::select(spellings).prop_map(Written::unchecked)
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
        Just((false, crate::port::METRICS)),
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
