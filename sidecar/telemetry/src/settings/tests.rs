use std::time::Duration;

use serde_json::json;
use trilby_crds::TracingSpec;

use super::{Batching, InvalidSettings, Protocol, Settings, Variables};

fn variables(pairs: &[(&str, &str)]) -> Variables {
    Variables::read(|name| {
        let found = pairs.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

fn settings(spec: serde_json::Value, pairs: &[(&str, &str)]) -> Result<Settings, InvalidSettings> {
    let spec: TracingSpec = serde_json::from_value(spec).unwrap();
    Settings::new(Some(&spec), &variables(pairs))
}

#[test]
fn nothing_is_asked_for_by_nobody() {
    let settings = Settings::new(None, &Variables::default()).unwrap();
    assert!(!settings.rate_given && settings.otlp.is_none() && settings.zipkin.is_none());
    assert!((settings.rate - 1e-4).abs() < f64::EPSILON);
    let default = Batching {
        delay: Duration::from_secs(5),
        queue: 2048,
        batch: 512,
    };
    assert_eq!(settings.batching, default);
}

#[test]
fn an_endpoint_of_the_configuration_leaves_nothing_to_the_environment() {
    let spec = json!({"samplingRate": "0.5", "otel": {
        "endpointAddress": "https://collector:4317", "protocol": "grpc", "isSecure": false, "timeout": "30s",
        "headers": [{"name": "x-key", "value": "v"}],
    }});
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://other:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-env=1"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "5000"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
    ];
    let otlp = settings(spec, &environment).unwrap().otlp.unwrap();
    assert_eq!(
        (otlp.endpoint.as_str(), otlp.protocol),
        ("collector:4317", Protocol::Grpc)
    );
    assert_eq!(
        (otlp.secure, otlp.timeout),
        (false, Duration::from_secs(30))
    );
    assert_eq!(otlp.headers.len(), 1);
    assert_eq!(otlp.headers["x-key"], "v");
}

#[test]
fn the_environment_names_an_endpoint_and_with_it_a_rate() {
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "true"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-key=a%20b, y=2"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "9000"),
    ];
    let settings = settings(json!({}), &environment).unwrap();
    assert!((settings.rate - 1.0).abs() < f64::EPSILON && settings.rate_given);
    let otlp = settings.otlp.unwrap();
    assert_eq!(
        (otlp.endpoint.as_str(), otlp.protocol),
        ("traces:4318", Protocol::Http)
    );
    assert_eq!((otlp.secure, otlp.timeout), (false, Duration::from_secs(9)));
    assert_eq!(
        (&otlp.headers["x-key"], &otlp.headers["y"]),
        (&"a b".parse().unwrap(), &"2".parse().unwrap())
    );
    assert!(!otlp.headers.contains_key("a"));
}

#[test]
fn a_given_rate_stays_and_only_the_word_true_makes_insecure() {
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "TRUE"),
    ];
    let settings = settings(json!({"samplingRate": "0"}), &environment).unwrap();
    assert!(settings.rate == 0.0);
    let otlp = settings.otlp.unwrap();
    assert!(otlp.secure && otlp.protocol == Protocol::Grpc);
}

#[test]
fn settings_that_cannot_work_are_named() {
    let otel = |more: serde_json::Value| {
        let mut otel = json!({"endpointAddress": "c:1", "protocol": "grpc"});
        otel.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        settings(json!({"otel": otel}), &[])
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        otel(json!({"protocol": "udp"})),
        "invalid protocol udp provided for Otel endpoint"
    );
    assert_eq!(
        otel(json!({"timeout": "soon"})),
        "otel.timeout \"soon\" is not a duration"
    );
    let secret = otel(json!({"headers": [{"name": "x", "value": "a\nsecret"}]}));
    assert_eq!(secret, "otel header \"x\" cannot be sent");
    for (name, value, error) in [
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "1s",
            "is \"1s\": it is not a number",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "novalue",
            "is not a list of name=value pairs",
        ),
        (
            "OTEL_BSP_MAX_QUEUE_SIZE",
            "many",
            "is \"many\": it is not a number",
        ),
    ] {
        let wrong = settings(
            json!({}),
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "c:1"), (name, value)],
        );
        let text = wrong.unwrap_err().to_string();
        assert!(text.contains(name) && text.contains(error), "{text}");
    }
}

#[test]
fn an_endpoint_without_a_protocol_exports_nothing() {
    let settings = settings(json!({"otel": {"endpointAddress": "c:1"}}), &[]).unwrap();
    assert!(settings.otlp.is_none());
}

#[test]
fn headers_do_not_appear_in_logs() {
    let variables = variables(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "k=hunter2"),
    ]);
    let settings = Settings::new(None, &variables).unwrap();
    assert!(!format!("{variables:?} {settings:?}").contains("hunter2"));
}
