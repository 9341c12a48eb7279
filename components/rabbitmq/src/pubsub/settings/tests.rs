use std::time::Duration;

use lapin::ExchangeKind;
use trilby_components::{
    metadata::{Metadata, MetadataError},
    registry::ComponentContext,
};

use super::{Concurrency, Config, Refused, Word};

fn read(pairs: &[(&str, &str)]) -> Result<Config, MetadataError> {
    let context = ComponentContext {
        app_id: "app".to_owned(),
        ..ComponentContext::default()
    };
    let metadata = Metadata::new(pairs.iter().copied()).unwrap();
    Config::new(&context, &metadata).map(|(config, _)| config)
}

fn address(pairs: &[(&str, &str)]) -> Result<String, MetadataError> {
    let metadata = Metadata::new(pairs.iter().copied()).unwrap();
    Config::new(&ComponentContext::default(), &metadata).map(|(_, endpoint)| endpoint.address())
}

#[test]
fn defaults_are_upstreams_code() {
    let expected = Config {
        consumer: "app".to_owned(),
        durable: true,
        auto_delete: true,
        auto_ack: false,
        delivery_mode: 0,
        refused: Refused::Requeued,
        prefetch: 0,
        wait: Duration::from_secs(3),
        concurrency: Concurrency::Parallel,
        exchange_kind: ExchangeKind::Fanout,
        word: Word::None,
        dead_letters: false,
        most_messages: None,
        most_bytes: None,
        time_to_live: None,
        tells_properties: false,
    };
    assert_eq!(read(&[]), Ok(expected));
}

#[test]
fn concurrency_has_two_names() {
    for key in ["concurrency", "concurrencyMode", "CONCURRENCY"] {
        let config = read(&[(key, "single")]).unwrap();
        assert_eq!(config.concurrency, Concurrency::Single, "{key}");
    }
    let wrong = read(&[("concurrency", "double")]).unwrap_err().to_string();
    assert!(wrong.contains("concurrencyMode"), "{wrong}");
}

#[test]
fn what_is_not_taken_is_lost_only_where_that_is_said() {
    let refused = |pairs: &[(&str, &str)]| read(pairs).unwrap().refused;
    assert_eq!(refused(&[]), Refused::Requeued);
    assert_eq!(refused(&[("enableDeadLetter", "true")]), Refused::Rejected);
    let both = [("enableDeadLetter", "true"), ("requeueInFailure", "true")];
    assert_eq!(refused(&both), Refused::Requeued);
    assert_eq!(refused(&[("requeueInFailure", "false")]), Refused::Rejected);
}

#[test]
fn the_broker_is_named_by_a_string_or_by_its_parts() {
    assert_eq!(address(&[]), Ok("localhost:5672".into()));
    let tls = [("protocol", "amqps"), ("hostname", "h")];
    assert_eq!(address(&tls), Ok("h:5671".into()));
    assert_eq!(address(&[("host", "amqp://h:1")]), Ok("h:1".into()));
    let both = [("connectionString", "amqp://a:1"), ("host", "amqp://b:1")];
    assert_eq!(address(&both), Ok("a:1".into()));
}

#[test]
fn what_cannot_be_is_named() {
    let cases: [(&[(&str, &str)], &str); 8] = [
        (&[("deliveryMode", "3")], "deliveryMode"),
        (&[("exchangeKind", "tree")], "exchangeKind"),
        (&[("ttl", "soon")], "ttlInSeconds"),
        (&[("connectionString", "h:1")], "connectionString"),
        (
            &[("protocol", "amqps"), ("connectionString", "amqp://h")],
            "protocol",
        ),
        (&[("saslExternal", "true")], "saslExternal"),
        (&[("clientCert", "x")], "clientKey"),
        (&[("prefetchCount", "256")], "prefetchCount"),
    ];
    for (pairs, key) in cases {
        let error = read(pairs).unwrap_err().to_string();
        assert!(error.contains(key), "{pairs:?}: {error}");
    }
}
