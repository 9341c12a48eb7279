use super::*;
use trilby_components::metadata::Metadata;

fn config(properties: &[(&str, &str)]) -> Result<Config, MetadataError> {
    let known = [("brokers", "one:9092,two:9092")];
    let properties = known.iter().chain(properties).copied();
    let metadata = Metadata::new(properties).expect("no duplicates");
    let context = ComponentContext {
        app_id: "app".to_owned(),
        ..ComponentContext::default()
    };
    Config::new(metadata.decode()?, &context, true)
}

fn refused(properties: &[(&str, &str)]) -> String {
    let result = config(properties).map(drop);
    result.expect_err("it cannot be").to_string()
}

#[test]
fn defaults_are_upstreams_code() {
    let config = config(&[("authType", "none")]).expect("settings");
    assert!(config.security.is_none());
    assert_eq!(config.client_id, "sarama");
    assert_eq!((config.largest, config.acks), (1_048_576, Acks::All));
    let group = config.group;
    assert_eq!((&*group.id, group.from_oldest), ("app", false));
    assert_eq!(group.heartbeat, Duration::from_secs(3));
    assert_eq!(group.session, Duration::from_secs(10));
    assert_eq!(group.reconnect, Duration::from_millis(100));
    assert_eq!(group.strategy, PartitionAssignmentStrategy::Range);
    assert!(group.retry.enabled);
}

#[test]
fn the_group_is_told_or_the_consumer_or_the_application() {
    let group = |properties: &[(&str, &str)]| {
        let all: Vec<_> = [("authType", "none")]
            .iter()
            .chain(properties)
            .copied()
            .collect();
        config(&all).expect("settings").group.id
    };
    assert_eq!(group(&[("consumerID", "c")]), "c");
    assert_eq!(group(&[("consumerID", "c"), ("consumerGroup", "g")]), "g");
}

/// Row 10 of what upstream is weak at: case, and mTLS without an authority of one's own.
#[test]
fn authentication_is_what_the_settings_say_in_any_case() {
    let security = |properties: &[(&str, &str)]| config(properties).expect("settings").security;
    assert!(security(&[("authType", "None")]).is_none());
    let mtls = security(&[("authType", "mTLS")]).expect("TLS");
    assert!(mtls.requires_tls() && !mtls.requires_sasl());
    let password = [("saslUsername", "u"), ("saslPassword", "p")];
    let by_password = security(&[&[("authType", "password")], &password[..]].concat());
    let by_password = by_password.expect("SASL");
    assert!(by_password.requires_tls() && by_password.plain_credentials().is_some());
    let scram = [
        ("authRequired", "true"),
        ("saslMechanism", "SHA-512"),
        ("disableTls", "true"),
    ];
    let scram = security(&[&scram[..], &password[..]].concat()).expect("SASL");
    assert!(!scram.requires_tls() && scram.scram_credentials().is_some());
    assert!(security(&[("authRequired", "false")]).is_none());
}

#[test]
fn what_cannot_be_is_named() {
    for (properties, name) in [
        (&[][..], "authType"),
        (&[("authType", "x")], "authType"),
        (&[("authType", "oidc")], "oidc is not there"),
        (&[("authType", "awsiam")], "awsiam is not there"),
        (&[("authRequired", "perhaps")], "authRequired"),
        (&[("authType", "password")], "saslUsername"),
        (&[("authType", "certificate")], "caCert"),
        (&[("authType", "certificate"), ("caCert", "x")], "caCert"),
        (
            &[("authType", "mtls"), ("clientCert", "-----BEGIN x")],
            "clientKey",
        ),
        (
            &[("authType", "mtls"), ("disableTls", "true")],
            "disableTls",
        ),
        (&[("authType", "none"), ("compression", "x")], "compression"),
        (
            &[("authType", "none"), ("initialOffset", "x")],
            "initialOffset",
        ),
        (
            &[("authType", "none"), ("producerRequiredAcks", "x")],
            "producerRequiredAcks",
        ),
        (
            &[("authType", "none"), ("excludeHeaderMetaRegex", "(")],
            "excludeHeaderMetaRegex",
        ),
        (
            &[("authType", "none"), ("backOffPolicy", "x")],
            "backOffPolicy",
        ),
    ] {
        let error = refused(properties);
        assert!(error.contains(name), "{name}: {error}");
    }
}
