use trilby_bootstrap::args::parse_from;
use trilby_sidecar_args::SidecarArgs;

use super::Config;
use crate::environment::Environment;

fn config(flags: &[&str], environment: Environment) -> Result<Config, String> {
    let args: SidecarArgs =
        parse_from(std::iter::once("daprd").chain(flags.iter().copied())).unwrap();
    Config::new(&args, environment).map_err(|error| error.to_string())
}

#[test]
fn app_id_is_enough_outside_kubernetes() {
    let config = config(&["-app-id", "a"], Environment::default()).unwrap();
    assert_eq!(
        (config.servers.http_port, config.servers.grpc_port),
        (3500, 50001)
    );
    assert!(config.app.is_none() && !config.needs_identity());
    assert_eq!(config.servers.max_body, 4 << 20);
}

#[test]
fn every_problem_is_named_at_once() {
    let flags = ["--app-id", "a.b", "--app-port", "3500", "--enable-mtls"];
    let error = config(&flags, Environment::default()).unwrap_err();
    for part in [
        "parameter app-id cannot contain dots",
        "conflicts with 'app-port'",
        "trust anchors are required",
        "sentry-address",
    ] {
        assert!(error.contains(part), "{part:?} is missing in {error}");
    }
}

#[test]
fn environment_names_the_control_plane_where_flags_do_not() {
    let environment = Environment {
        control_plane_trust_domain: Some("td".into()),
        ..Environment::default()
    };
    let told = config(&["--app-id", "a"], environment.clone()).unwrap();
    assert_eq!(told.control_plane.trust_domain, "td");
    let flags = ["--app-id", "a", "--control-plane-trust-domain", "other"];
    assert_eq!(
        config(&flags, environment)
            .unwrap()
            .control_plane
            .trust_domain,
        "other"
    );
}

#[test]
fn health_check_path_gets_its_slash() {
    let flags = [
        "--app-id",
        "a",
        "--app-port",
        "80",
        "--enable-app-health-check",
        "--app-health-check-path",
        "up",
    ];
    let health = config(&flags, Environment::default())
        .unwrap()
        .app
        .unwrap()
        .health
        .unwrap();
    assert_eq!(health.path, "/up");
    assert_eq!(health.threshold, 3);
}

#[test]
fn texts_of_problems_are_upstreams() {
    for (flags, text) in [
        (vec![], "parameter app-id cannot be empty"),
        (
            vec!["--app-id", "a", "--app-port", "50001"],
            "the 'dapr-grpc-port' argument value 50001 conflicts with 'app-port'",
        ),
        (
            vec!["--app-id", "a", "--app-health-probe-timeout", "6000"],
            "value for 'health-probe-timeout' must be smaller than 'health-probe-interval'",
        ),
        (
            vec!["--app-id", "a", "--disable-init-endpoints", "config,x"],
            "invalid value for 'disable-init-endpoints': x",
        ),
        (
            vec!["--app-id", "a", "--actors-disseminate-timeout", "0s"],
            "invalid value for 'actors-disseminate-timeout' option: must be positive, got 0s",
        ),
    ] {
        let error = config(&flags, Environment::default()).unwrap_err();
        assert!(error.contains(text), "{text:?} is missing in {error}");
    }
}

#[test]
fn deprecated_flags_name_their_successors() {
    let flags = [
        "--app-id",
        "a",
        "--app-ssl",
        "--dapr-http-max-request-size",
        "8",
    ];
    let args: SidecarArgs = parse_from(std::iter::once("daprd").chain(flags)).unwrap();
    let names: Vec<_> = super::deprecated(&args)
        .into_iter()
        .map(|(flag, _)| flag)
        .collect();
    assert_eq!(names, ["app-ssl", "dapr-http-max-request-size"]);
    let config = Config::new(&args, Environment::default()).unwrap();
    assert_eq!(config.servers.max_body, 8 << 20);
}
