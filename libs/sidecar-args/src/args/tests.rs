use std::time::Duration;

use clap::Parser;

use super::SidecarArgs;
use crate::{AppProtocol, InitEndpoint, Mode};

mod properties;

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

/// Word for word what the command-line tool starts a sidecar with.
#[test]
fn the_command_of_dapr_run_is_understood() {
    let command = "--app-id orders --app-port 0 --dapr-http-port 3601 --dapr-grpc-port 3602 --profile-port -1 \
                   --metrics-port 3603 --dapr-internal-grpc-port 3604 --config /h/.dapr/config.yaml --app-protocol \
                   http --log-level info --app-max-concurrency -1 --placement-host-address localhost:50005 \
                   --components-path /h/.dapr/components --max-body-size 4Mi --read-buffer-size 4Ki \
                   --scheduler-host-address localhost:50006";
    let args = parse(&command.split_whitespace().collect::<Vec<_>>()).unwrap();
    assert_eq!(args.observability.profile_port, crate::port::PROFILE);
    assert_eq!(args.app.max_concurrency(), None);
    assert_eq!(args.api.dapr_internal_grpc_port, 3604);
    assert_eq!(args.resources.components_path, "/h/.dapr/components");
    assert!(refusal(&["--profile-port=-2"]).contains("invalid port"));
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
            "invalid value for 'app-protocol': ftp",
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
