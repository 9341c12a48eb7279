use serde_json::{Value, json};

use super::*;

fn metadata(entries: &[(&str, &str)]) -> RequestMetadata {
    let owned = entries
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    owned.collect()
}

fn published(
    data: &[u8],
    content_type: &str,
    entries: &[(&str, &str)],
) -> Result<Bytes, EnvelopeError> {
    envelope(&Publication {
        source: "app",
        pubsub: "bus",
        topic: "orders",
        data: Bytes::copy_from_slice(data),
        content_type,
        metadata: &metadata(entries),
        raw: false,
        trace_parent: "00-a-b-01",
        trace_state: "s=1",
        broker_expires: false,
        now: "2026-01-02T03:04:05.6Z".parse().unwrap(),
    })
}

fn event(data: &[u8], content_type: &str, entries: &[(&str, &str)]) -> Value {
    serde_json::from_slice(&published(data, content_type, entries).unwrap()).unwrap()
}

#[test]
fn what_is_published_is_wrapped() {
    let mut wrapped = event(b"hello", "", &[]);
    let id = wrapped["id"].take();
    assert!(uuid::Uuid::parse_str(id.as_str().unwrap()).is_ok());
    assert_eq!(
        wrapped,
        json!({
            "data": "hello", "datacontenttype": "text/plain", "id": null, "pubsubname": "bus", "source": "app",
            "specversion": "1.0", "time": "2026-01-02T03:04:05Z", "topic": "orders", "traceid": "00-a-b-01",
            "traceparent": "00-a-b-01", "tracestate": "s=1", "type": "com.dapr.event.sent",
        })
    );
}

#[test]
fn data_stands_as_its_content_type_says() {
    for (data, content_type, field, expected) in [
        (
            &b"{\"a\": 1}"[..],
            "application/json; charset=utf-8",
            "data",
            json!({"a": 1}),
        ),
        (b"null", "application/json", "data", Value::Null),
        (b"{no", "application/json", "data", json!("{no")),
        (b"", "application/json", "data", json!("")),
        (b"{\"a\":1}", "text/plain", "data", json!("{\"a\":1}")),
        (
            b"ab",
            "application/octet-stream",
            "data_base64",
            json!("YWI="),
        ),
        (
            b"ab",
            "application/x-protobuf",
            "data_base64",
            json!("YWI="),
        ),
        (
            b"ab",
            "application/cloudevents+protobuf",
            "data_base64",
            json!("YWI="),
        ),
        (b"ab", "image/png", "data", json!("ab")),
        (b"\xff\xfe", "image/png", "data_base64", json!("//4=")),
        (b"\xff", "application/json", "data_base64", json!("/w==")),
    ] {
        let event = event(data, content_type, &[]);
        assert_eq!(event.get(field), Some(&expected), "{content_type}: {event}");
        let other = if field == "data" {
            "data_base64"
        } else {
            "data"
        };
        assert_eq!(event.get(other), None, "{content_type}");
    }
}

#[test]
fn numbers_keep_their_text() {
    let data = br#"{"big":123456789012345678901234567890.10,"e":1e400}"#;
    let wrapped = published(data, "application/json", &[]).unwrap();
    let text = std::str::from_utf8(&wrapped).unwrap();
    assert!(text.contains(std::str::from_utf8(data).unwrap()), "{text}");
    let given = br#"{"data":{"big":123456789012345678901234567890.10},"id":"1"}"#;
    let completed = published(given, "application/cloudevents+json", &[]).unwrap();
    let text = std::str::from_utf8(&completed).unwrap();
    assert!(text.contains("123456789012345678901234567890.10"), "{text}");
}

#[test]
fn json_too_deep_to_be_read_again_stays_text() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let wrapped = |depth| published(nested(depth).as_bytes(), "application/json", &[]).unwrap();
    assert!(wrapped(9_999).starts_with(b"{\"data\":[["));
    assert!(wrapped(10_000).starts_with(b"{\"data\":\"[["));
}

#[test]
fn metadata_overrides_attributes_in_any_case() {
    let event = event(
        b"x",
        "text/plain",
        &[
            ("CloudEvent.ID", "7"),
            ("cloudevent.source", "other"),
            ("cloudevent.type", "t"),
            ("cloudevent.subject", "s"),
            ("cloudevent.traceid", "a"),
            ("cloudevent.traceparent", "b"),
            ("cloudevent.tracestate", "c"),
            ("cloudevent.topic", "not this"),
            ("cloudevent.datacontenttype", "nor this"),
        ],
    );
    for (name, value) in [
        ("id", "7"),
        ("source", "other"),
        ("type", "t"),
        ("subject", "s"),
        ("traceid", "b"),
        ("traceparent", "b"),
        ("tracestate", "c"),
        ("topic", "orders"),
        ("datacontenttype", "text/plain"),
    ] {
        assert_eq!(event[name], value, "{name}");
    }
}

#[test]
fn an_empty_override_asks_for_the_default() {
    let event = event(
        b"x",
        "",
        &[
            ("cloudevent.source", ""),
            ("cloudevent.type", ""),
            ("cloudevent.id", ""),
        ],
    );
    assert_eq!(event["source"], "Dapr");
    assert_eq!(event["type"], "com.dapr.event.sent");
    assert!(!event["id"].as_str().unwrap().is_empty());
}

#[test]
fn an_event_that_is_given_gets_what_it_lacks() {
    let given = br#"{"id":"1","topic":"x","pubsubname":"y","source":null,"type":"t","extra":[1]}"#;
    assert_eq!(
        event(
            given,
            "application/cloudevents+json",
            &[("cloudevent.type", "not this"), ("ttlInSeconds", "10")]
        ),
        json!({
            "id": "1", "topic": "orders", "pubsubname": "bus", "source": "Dapr", "type": "t", "extra": [1],
            "specversion": "1.0", "time": "2026-01-02T03:04:05Z", "traceid": "00-a-b-01",
            "traceparent": "00-a-b-01", "tracestate": "s=1", "expiration": "2026-01-02T03:04:15Z",
        })
    );
    let traced = event(
        br#"{"traceid":"mine","time":"then"}"#,
        "application/cloudevents+json",
        &[],
    );
    assert_eq!(traced["traceid"], "mine");
    assert_eq!(traced.get("traceparent"), None);
    assert_eq!(traced["time"], "then");
    assert_eq!(traced.get("id"), None, "an id is the publisher's to give");
}

#[test]
fn what_is_no_event_is_refused() {
    for data in ["", "null", "[]", "1", "\"a\"", "{", "{} {}"] {
        let refused = published(data.as_bytes(), "application/cloudevents+json", &[]);
        assert!(
            matches!(refused, Err(EnvelopeError::NoCloudEvent(_))),
            "{data}: {refused:?}"
        );
    }
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(10_001), "]".repeat(10_001));
    assert!(published(deep.as_bytes(), "application/cloudevents+json", &[]).is_err());
}

#[test]
fn a_time_to_live_becomes_an_expiration() {
    for (name, value, expected) in [
        ("ttlInSeconds", "60", Some("2026-01-02T03:05:05Z")),
        ("TTL", "1h", Some("2026-01-02T04:04:05Z")),
        ("ttlInSeconds", "-5s", Some("2026-01-02T03:04:05Z")),
        ("ttlInSeconds", "0", Some("2026-01-02T03:04:05Z")),
        ("ttlInSeconds", "", None),
        (
            "ttlInSeconds",
            "9223372036854775807",
            Some("9999-12-30T22:00:00Z"),
        ),
    ] {
        let event = event(b"x", "", &[(name, value)]);
        assert_eq!(
            event.get("expiration").and_then(Value::as_str),
            expected,
            "{value}"
        );
    }
    for value in ["-5", "soon", "1.5"] {
        let refused = published(b"x", "", &[("ttlInSeconds", value)]).unwrap_err();
        assert!(refused.to_string().contains("ttlInSeconds"), "{refused}");
    }
}

#[test]
fn a_broker_that_expires_is_left_to_it() {
    let metadata = metadata(&[("ttlInSeconds", "60")]);
    let mut publication = Publication {
        source: "app",
        pubsub: "bus",
        topic: "orders",
        data: Bytes::from_static(b"\xff raw"),
        content_type: "",
        metadata: &metadata,
        raw: false,
        trace_parent: "",
        trace_state: "",
        broker_expires: true,
        now: Timestamp::UNIX_EPOCH,
    };
    let wrapped: Value = serde_json::from_slice(&envelope(&publication).unwrap()).unwrap();
    assert_eq!(wrapped.get("expiration"), None);
    assert_eq!(wrapped["traceid"], "");
    publication.raw = true;
    assert_eq!(envelope(&publication).unwrap(), &b"\xff raw"[..]);
}
