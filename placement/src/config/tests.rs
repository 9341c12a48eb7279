use super::*;

fn config(flags: &[&str]) -> Result<Config, ConfigError> {
    config_in(flags, Environment::default())
}

fn config_in(flags: &[&str], environment: Environment) -> Result<Config, ConfigError> {
    let args = trilby_bootstrap::args::parse_from(["placement"].iter().chain(flags));
    Config::new(args.expect("the flags are known"), environment)
}

#[test]
fn defaults_are_upstreams() {
    let config = config(&[]).expect("the defaults are usable");
    assert_eq!((config.port, config.replication_factor), (50005, 100));
    assert_eq!(config.keepalive_interval, Duration::from_secs(2));
    assert_eq!(config.keepalive_timeout, Duration::from_secs(3));
    assert_eq!(config.rounds.timeout, Duration::from_secs(8));
    assert_eq!(config.rounds.coalesce, Duration::ZERO);
    assert_eq!((config.serve_state, config.tls), (false, None));
}

#[test]
fn every_flag_is_accepted_with_one_dash() {
    let flags = "-id x -initial-cluster x=127.0.0.1:8201 -port 1 -listen-address 127.0.0.1 -healthz-port 2 \
        -healthz-listen-address 127.0.0.1 -metrics-port 3 -metrics-listen-address 127.0.0.1 -enable-metrics=false \
        -tls-enabled -metadata-enabled -replicationFactor 7 -keepalive-time 1s -keepalive-timeout 10s \
        -disseminate-timeout 1m -disseminate-coalesce-window 100ms -trust-domain td -trust-anchors-file /ca \
        -sentry-address s:443 -mode kubernetes -inmem-store-enabled=false -raft-logstore-path /x \
        -max-api-level 20 -min-api-level -1 -log-level debug -log-as-json";
    let flags: Vec<&str> = flags.split_whitespace().collect();
    let config = config(&flags).expect("all are known");
    assert_eq!(config.rounds.coalesce, Duration::from_millis(100));
    let tls = config.tls.expect("it is on");
    assert_eq!(
        (tls.sentry_address.as_str(), tls.trust_domain.as_str()),
        ("s:443", "td")
    );
}

#[test]
fn flags_without_effect_are_named() {
    let flags = ["placement", "--min-api-level=0", "--max-api-level=20"];
    let args: Args = trilby_bootstrap::args::parse_from(flags).expect("known");
    let named: Vec<_> = args.without_effect().collect();
    assert_eq!(named, ["max-api-level", "min-api-level"]);
}

#[test]
fn unusable_flags_say_why() {
    for (flags, reason) in [
        (
            &["--keepalive-time=500ms"][..],
            "invalid value for keepalive-time: value should be between 1s and 10s, got 500ms",
        ),
        (
            &["--keepalive-timeout=11s"],
            "invalid value for keepalive-timeout: value should be between 1s and 10s, got 11s",
        ),
        (
            &["--id=x"],
            "id \"x\" is not in initial-cluster \"dapr-placement-0=127.0.0.1:8201\"",
        ),
        (
            &["--disseminate-timeout=0s"],
            "disseminate-timeout must be positive",
        ),
        (
            &["--replicationFactor=0"],
            "replicationFactor must be positive",
        ),
    ] {
        let error = config(flags).expect_err(reason);
        assert_eq!(error.to_string(), reason);
    }
}

#[test]
fn malformed_replicas_are_skipped() {
    let config = config(&["--id=a", "--initial-cluster=a=h:1,nonsense,b=c=d"]);
    assert!(config.is_ok());
}

#[test]
fn state_is_served_if_the_environment_says_so_and_no_flag_objects() {
    for (flags, variable, served) in [
        (&[][..], None, false),
        (&[], Some("TRUE"), true),
        (&[], Some("nonsense"), false),
        (&["--metadata-enabled=false"], Some("1"), false),
        (&["--metadata-enabled"], None, true),
    ] {
        let environment = Environment {
            metadata_enabled: variable.map(str::to_owned),
            ..Environment::default()
        };
        let config = config_in(flags, environment).expect("usable");
        assert_eq!(config.serve_state, served, "{flags:?} {variable:?}");
    }
}

#[test]
fn sentry_is_looked_for_in_the_own_namespace() {
    let environment = Environment {
        namespace: Some("dapr-system".into()),
        ..Environment::default()
    };
    let config = config_in(&["--tls-enabled"], environment).expect("usable");
    assert_eq!(
        config.tls.expect("on").sentry_address,
        "dapr-sentry.dapr-system.svc:443"
    );
}

#[test]
fn term_is_kept_where_a_path_is_given_and_no_flag_objects() {
    for (flags, kept) in [
        (&[][..], None),
        (&["--inmem-store-enabled=false"], None),
        (&["--raft-logstore-path=/x"], Some("/x")),
        (
            &["--raft-logstore-path=/x", "--inmem-store-enabled=false"],
            Some("/x"),
        ),
        (&["--raft-logstore-path=/x", "--inmem-store-enabled"], None),
    ] {
        let config = config(flags).expect("usable");
        assert_eq!(config.kept_in, kept.map(PathBuf::from), "{flags:?}");
    }
}
