use std::time::Duration;

use trilby_components::metadata::Metadata;

use super::{Config, Retry};

fn config(pairs: &[(&str, &str)]) -> Result<(Config, Metadata), String> {
    let metadata = Metadata::new(pairs.iter().copied()).map_err(|error| error.to_string())?;
    Config::split(&metadata).map_err(|error| error.to_string())
}

fn address(pairs: &[(&str, &str)]) -> Result<String, String> {
    config(pairs).map(|(config, _)| config.address)
}

#[test]
fn the_port_may_stand_in_either_place() {
    for (pairs, expected) in [
        (&[("redisHost", "redis")][..], "redis:6379"),
        (&[("redisHost", "redis:7000")], "redis:7000"),
        (
            &[("redisHost", "redis"), ("redisPort", "7000")],
            "redis:7000",
        ),
        (
            &[("redisHost", "redis:7000"), ("redisPort", "7000")],
            "redis:7000",
        ),
        (&[("redisHost", "[::1]:7000")], "::1:7000"),
        (&[("redisHost", "::1")], "::1:6379"),
    ] {
        assert_eq!(address(pairs).as_deref(), Ok(expected), "{pairs:?}");
    }
}

#[test]
fn a_bad_address_is_refused_by_name() {
    for (pairs, expected) in [
        (&[][..], "metadata property redisHost is missing"),
        (
            &[("redisHost", ":6379")],
            "metadata property redisHost is invalid: it names no host",
        ),
        (
            &[("redisHost", "redis:port")],
            "metadata property redisHost is invalid: its port is not a number from 1 to 65535",
        ),
        (
            &[("redisHost", "redis:1"), ("redisPort", "2")],
            "metadata property redisHost is invalid: its port 1 is not redisPort, which is 2",
        ),
    ] {
        assert_eq!(address(pairs), Err(expected.to_owned()), "{pairs:?}");
    }
}

#[test]
fn what_is_not_there_yet_is_refused_by_name() {
    for (key, value, what) in [
        ("useAzureAD", "yes", "Microsoft Entra ID (useEntraID)"),
        ("useOIDC", "1", "OpenID Connect (useOIDC)"),
    ] {
        assert_eq!(
            address(&[("redisHost", "redis"), (key, value)]),
            Err(format!(
                "redis store: {what}: not there yet in this sidecar"
            ))
        );
    }
}

#[test]
fn several_addresses_are_of_a_cluster_or_of_sentinels() {
    let two = ("redisHost", "one, two:7000");
    for more in [
        &[("redisType", "cluster")][..],
        &[("failover", "true"), ("sentinelMasterName", "main")],
    ] {
        let pairs = [&[two], more].concat();
        assert_eq!(address(&pairs).as_deref(), Ok("one:6379, two:7000"));
    }
    for (pairs, expected) in [
        (
            &[two][..],
            "metadata property redisHost is invalid: several addresses are for redisType: cluster, or failover: true",
        ),
        (
            &[two, ("failover", "true")],
            "metadata property sentinelMasterName is missing",
        ),
        (
            &[two, ("failover", "true"), ("redisType", "cluster")],
            "redis store: failover with redisType: cluster: not there yet in this sidecar",
        ),
    ] {
        assert_eq!(address(pairs), Err(expected.to_owned()), "{pairs:?}");
    }
}

#[test]
fn retries_have_upstreams_defaults_and_spellings() {
    let retry = |pairs: &[(&str, &str)]| {
        let mut all = vec![("redisHost", "redis")];
        all.extend_from_slice(pairs);
        config(&all).unwrap().0.retry
    };
    let default = Retry {
        times: 3,
        first: Duration::from_millis(512),
        longest: Duration::from_millis(512),
    };
    assert_eq!(retry(&[]), default);
    assert_eq!(retry(&[("maxRetries", "-1")]).times, 0);
    assert_eq!(
        retry(&[
            ("redisMinRetryInterval", "8"),
            ("redisMaxRetryInterval", "1s")
        ]),
        Retry {
            first: Duration::from_millis(8),
            longest: Duration::from_secs(1),
            ..default
        }
    );
    assert_eq!(
        retry(&[("maxRetryBackoff", "3000000")]).first,
        Duration::from_millis(3)
    );
}

#[test]
fn a_timeout_may_be_negative_or_zero() {
    for value in ["-1", "0", "250", "1m"] {
        let read = config(&[("redisHost", "redis"), ("readTimeout", value)]);
        assert!(read.is_ok(), "{value}");
    }
    assert_eq!(
        address(&[("redisHost", "redis"), ("dialTimeout", "soon")]),
        Err(
            "metadata property dialTimeout is invalid: invalid duration \"soon\": expected numbers \
             with units, such as \"1h30m\" or \"500ms\""
                .into()
        )
    );
}

#[test]
fn a_certificate_needs_its_key() {
    let certificate = [
        ("redisHost", "redis"),
        ("enableTLS", "true"),
        ("clientCert", "PEM"),
    ];
    assert_eq!(
        address(&certificate),
        Err("metadata property clientKey is missing".to_owned())
    );
}

#[test]
fn the_password_shows_nowhere() {
    for more in [
        &[][..],
        &[("redisType", "cluster")],
        &[("failover", "true"), ("sentinelMasterName", "main")],
    ] {
        let mut pairs = vec![
            ("redisHost", "redis"),
            ("redisPassword", "s3cret"),
            ("sentinelPassword", "s3cret"),
        ];
        pairs.extend_from_slice(more);
        let (config, _) = config(&pairs).unwrap();
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}

#[test]
fn the_rest_is_left_for_the_block() {
    let (_, rest) = config(&[("redisHost", "redis"), ("ttlInSeconds", "5")]).unwrap();
    assert_eq!(rest.names().collect::<Vec<_>>(), ["ttlInSeconds"]);
}
