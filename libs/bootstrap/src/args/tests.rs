use std::ffi::OsString;

use clap::Parser;

use super::{HealthArgs, LogArgs, MetricsArgs, about, normalise, parse_from};

#[derive(Parser, Debug)]
struct Flags {
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    max_restarts: i32,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    health: HealthArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
}

fn flags(args: &[&str]) -> Result<Flags, clap::Error> {
    parse_from(["program"].iter().chain(args))
}

#[test]
fn defaults_are_upstreams() {
    let flags = flags(&[]).expect("parses");
    assert_eq!(flags.log, LogArgs::default());
    assert_eq!(flags.health.healthz_port, 8080);
    assert_eq!(flags.health.healthz_listen_address, "");
    assert!(flags.metrics.enable_metrics);
    assert_eq!(flags.metrics.metrics_port, 9090);
    assert_eq!(flags.metrics.metrics_listen_address, "0.0.0.0");
}

#[test]
fn one_dash_is_as_good_as_two_and_the_value_may_follow_an_equals_sign() {
    for args in [
        ["--healthz-port", "81", "--log-level=debug"],
        ["-healthz-port", "81", "-log-level=debug"],
    ] {
        let flags = flags(&args).expect("parses");
        assert_eq!(flags.health.healthz_port, 81);
        assert_eq!(flags.log.log_level, "debug");
    }
}

#[test]
fn a_boolean_stands_alone_or_takes_its_value_after_an_equals_sign() {
    for (arg, expected) in [
        ("-log-as-json", true),
        ("--log-as-json=T", true),
        ("--log-as-json=0", false),
    ] {
        assert_eq!(
            flags(&[arg]).expect("parses").log.log_as_json,
            expected,
            "{arg}"
        );
    }
    let error = flags(&["--log-as-json=maybe"]).expect_err("refused");
    assert!(
        error.to_string().contains("expected true or false"),
        "{error}"
    );
}

#[test]
fn a_negative_number_is_a_value() {
    assert_eq!(
        flags(&["-max-restarts", "-10"])
            .expect("parses")
            .max_restarts,
        -10
    );
}

#[test]
fn an_unknown_flag_or_level_is_refused_by_name() {
    let error = flags(&["-no-such-flag"]).expect_err("refused");
    assert!(error.to_string().contains("--no-such-flag"), "{error}");
    assert_eq!(error.exit_code(), 2);
    let error = flags(&["--log-level", "loud"]).expect_err("refused");
    assert!(
        error
            .to_string()
            .contains("expected debug, info, warn, error or fatal"),
        "{error}"
    );
}

#[test]
fn version_and_build_are_told_before_anything_else_is_read() {
    let args = |args: &[&str]| args.iter().map(OsString::from).collect::<Vec<_>>();
    assert_eq!(
        about(&args(&["daprd", "-version", "--bad"])).as_deref(),
        Some("1.18.0")
    );
    let build = about(&args(&["daprd", "--build-info"])).expect("told");
    assert!(build.contains("1.18.0") && build.contains("Trilby"));
    assert_eq!(about(&args(&["daprd", "--", "--version"])), None);
}

#[test]
fn the_programs_own_name_may_come_twice() {
    let told = |words: &[&str]| normalise(words.iter().copied());
    assert_eq!(
        told(&["/daprd", "/daprd", "-mode", "x"]),
        told(&["/daprd", "--mode", "x"])
    );
    assert_eq!(
        told(&["/daprd", "/other"]).len(),
        2,
        "any other word is for clap to refuse"
    );
}
