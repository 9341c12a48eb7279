use serde_json::{Value, json};

use trilby_components::pubsub::Message;

use super::*;

fn message(data: &[u8], content_type: Option<&str>, metadata: &[(&str, &str)]) -> Message {
    let metadata = metadata
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Message {
        topic: "nsorders".to_owned(),
        data: Bytes::copy_from_slice(data),
        content_type: content_type.map(str::to_owned),
        metadata: metadata.collect(),
    }
}

fn of(message: &Message, raw: bool) -> Event {
    Event::of(message, raw, ("bus", "orders")).unwrap()
}

fn structured(event: &str) -> Event {
    of(&message(event.as_bytes(), None, &[]), false)
}

fn parsed(json: &Bytes) -> Value {
    serde_json::from_slice(json).unwrap()
}

#[test]
fn an_event_in_json_is_delivered_as_it_came() {
    let body = r#" {"id":"1","source":"s","type":"t","specversion":"1.0","datacontenttype":"application/json",
        "data": {"n": 123456789012345678901.10}, "topic":"x", "extra":[1, "a", null, {"b": true}]}"#;
    let event = structured(body);
    assert_eq!(event.http_body(), body);
    assert_eq!(event.http_content_type(), "application/cloudevents+json");
    let texts = [
        event.id(),
        event.source(),
        event.event_type(),
        event.spec_version(),
        event.data_content_type(),
    ];
    assert_eq!(texts, ["1", "s", "t", "1.0", "application/json"]);
    assert_eq!(event.data().unwrap(), r#"{"n": 123456789012345678901.10}"#);
    let extensions = event.extensions().fields;
    assert_eq!(extensions.keys().collect::<Vec<_>>(), ["extra", "topic"]);
}

#[test]
fn data_of_every_content_type_is_delivered() {
    for (fields, data) in [
        (r#""datacontenttype":"text/plain","data":"a\nb""#, "a\nb"),
        (
            r#""datacontenttype":"text/plain","data":{"a": 1}"#,
            r#"{"a": 1}"#,
        ),
        (
            r#""datacontenttype":"application/xml","data":"<a/>""#,
            "<a/>",
        ),
        (
            r#""datacontenttype":"application/json","data":"a""#,
            r#""a""#,
        ),
        (
            r#""datacontenttype":"Application/JSON;a=b","data":[1, 2]"#,
            "[1, 2]",
        ),
        (
            r#""datacontenttype":"application/cloudevents+json","data":{"id":1}"#,
            r#"{"id":1}"#,
        ),
        (r#""datacontenttype":"image/svg","data":"<svg/>""#, "<svg/>"),
        (
            r#""datacontenttype":"application/vnd.a+json","data":{"a":1}"#,
            r#"{"a":1}"#,
        ),
        (r#""data":"a""#, "a"),
        (r#""data":1.50"#, "1.50"),
        (r#""data":null"#, ""),
        (
            r#""datacontenttype":"application/json","data":null"#,
            "null",
        ),
        (r#""datacontenttype":"application/json""#, ""),
        (r#""datacontenttype":5,"data":true"#, "true"),
        (r#""id":"1""#, ""),
        (
            r#""datacontenttype":"application/json","data_base64":"YWI=","data":1"#,
            "ab",
        ),
        (r#""data_base64":null,"data":"x""#, "x"),
    ] {
        assert_eq!(
            structured(&format!("{{{fields}}}")).data().unwrap(),
            data,
            "{fields}"
        );
    }
    for fields in [r#""data_base64":"no base64!""#, r#""data_base64":5"#] {
        let refused = structured(&format!("{{{fields}}}")).data();
        assert!(
            matches!(refused, Err(EventError::Base64(_))),
            "{fields}: {refused:?}"
        );
    }
}

#[test]
fn what_is_no_event_is_an_error() {
    for data in [
        &b""[..],
        b"null",
        b"[]",
        b"1",
        b"\"a\"",
        b"{",
        b"{} {}",
        b"\xff",
        b"\0",
        b"{\"a\x01\":1}",
    ] {
        let refused = Event::of(&message(data, None, &[]), false, ("a", "b"));
        assert!(
            matches!(refused, Err(EventError::NoCloudEvent(_))),
            "{data:?}: {refused:?}"
        );
    }
}

#[test]
fn depth_is_bounded_and_no_depth_overflows() {
    let nested = |depth: usize| {
        format!(
            r#"{{"id":"1","x":{}{}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    let event = structured(&nested(9_999));
    let extensions = event.extensions().fields;
    let Some(prost_types::value::Kind::StringValue(text)) = &extensions["x"].kind else {
        panic!("too deep for protobuf: {extensions:?}");
    };
    assert_eq!(text.len(), 2 * 9_999);
    let deep = message(nested(10_000).as_bytes(), None, &[]);
    assert!(Event::of(&deep, false, ("a", "b")).is_err());
    let endless = message("[".repeat(1_000_000).as_bytes(), None, &[]);
    assert!(Event::of(&endless, false, ("a", "b")).is_err());
    let objects = message(r#"{"a":"#.repeat(200_000).as_bytes(), None, &[]);
    assert!(Event::of(&objects, false, ("a", "b")).is_err());
}

#[test]
fn extensions_that_do_not_fit_are_texts() {
    use prost_types::value::Kind;
    let event = structured(r#"{"a":1e400,"b":1.5,"c":null,"d":{"e":[true]},"f":"t"}"#);
    let fields = event.extensions().fields;
    assert_eq!(
        fields["a"].kind,
        Some(Kind::StringValue("1e400".to_owned()))
    );
    assert_eq!(fields["b"].kind, Some(Kind::NumberValue(1.5)));
    assert_eq!(fields["c"].kind, Some(Kind::NullValue(0)));
    assert_eq!(fields["f"].kind, Some(Kind::StringValue("t".to_owned())));
    assert!(
        matches!(&fields["d"].kind, Some(Kind::StructValue(inner)) if inner.fields.contains_key("e"))
    );
}

#[test]
fn text_that_is_no_utf8_is_still_an_event() {
    let body = b"{\"id\":\"1\",\"datacontenttype\":\"text/plain\",\"data\":\"\xff\"}";
    let event = of(&message(body, None, &[]), false);
    assert_eq!(event.id(), "1");
    assert_eq!(event.http_body(), &body[..]);
    assert_eq!(event.data().unwrap(), "\u{fffd}");
    assert_eq!(parsed(&event.bulk_item())["data"], "\u{fffd}");
}

#[test]
fn raw_data_becomes_an_event_about_it() {
    let metadata = [
        ("traceid", "a"),
        ("traceparent", "b"),
        ("tracestate", "c"),
        ("other", "d"),
    ];
    let event = of(
        &message(b"\xff\0", Some("application/json"), &metadata),
        true,
    );
    assert_eq!(event.data().unwrap(), &b"\xff\0"[..]);
    let mut body = parsed(&event.http_body());
    assert_eq!(body["id"].take(), event.id());
    assert_eq!(
        body,
        json!({
            "id": null, "specversion": "1.0", "datacontenttype": "application/octet-stream", "source": "Dapr",
            "type": "com.dapr.event.sent", "topic": "orders", "pubsubname": "bus", "data_base64": "/wA=",
            "traceid": "b", "traceparent": "b", "tracestate": "c",
        })
    );
    assert_eq!(event.bulk_item(), "\"/wA=\"");
}

#[test]
fn attributes_in_metadata_are_an_event_about_bytes() {
    let metadata = [
        ("ce_id", "1"),
        ("CE_Type", "t"),
        ("ce_data", "no"),
        ("ce_ext", "e"),
        ("c", "no"),
        ("été", "no"),
    ];
    for by_metadata in [true, false] {
        let mut message = message(b"\xff{", Some("application/octet-stream"), &metadata);
        if by_metadata {
            let stated = message.content_type.take().unwrap();
            message.metadata.insert("content-type".to_owned(), stated);
        }
        let event = of(&message, false);
        assert_eq!(
            (event.id(), event.event_type()),
            ("1".to_owned(), "t".to_owned())
        );
        assert_eq!(event.data_content_type(), "application/octet-stream");
        assert_eq!(event.http_content_type(), "application/octet-stream");
        assert_eq!(event.data().unwrap(), &b"\xff{"[..]);
        assert_eq!(event.http_body(), &b"\xff{"[..]);
        assert_eq!(
            event.extensions().fields.keys().collect::<Vec<_>>(),
            ["ext"]
        );
        assert_eq!(
            parsed(&event.bulk_item()),
            json!({"id": "1", "type": "t", "ext": "e", "data_base64": "/3s=", "datacontenttype": "application/octet-stream"})
        );
    }
}

#[test]
fn the_trace_is_the_events_own_or_the_messages() {
    let metadata = [("traceparent", "m"), ("tracestate", "n")];
    let own = of(
        &message(br#"{"traceid":"a","traceparent":"b"}"#, None, &metadata),
        false,
    );
    assert_eq!(
        (own.trace_parent(), own.trace_state()),
        ("b".to_owned(), "n".to_owned())
    );
    let none = of(&message(b"{}", None, &metadata), false);
    assert_eq!(
        (none.trace_parent(), none.text("traceid")),
        ("m".to_owned(), "m".to_owned())
    );
    assert_eq!(
        structured(r#"{"traceid":"a","traceparent":null}"#).trace_parent(),
        "a"
    );
    assert_eq!(structured(r#"{"traceid":5}"#).trace_parent(), "");
}

#[test]
fn an_event_expires_after_its_time() {
    let now = "2026-01-02T03:04:05Z".parse().unwrap();
    for (expiration, expired) in [
        (r#""2026-01-02T03:04:04Z""#, true),
        (r#""2026-01-02T03:04:05Z""#, false),
        (r#""2026-01-02T04:04:04+01:00""#, true),
        (r#""2026-01-02T03:04:04.999Z""#, true),
        (r#""""#, false),
        (r#""yesterday""#, false),
        ("1", false),
        ("null", false),
        ("{}", false),
    ] {
        let event = structured(&format!(r#"{{"expiration":{expiration}}}"#));
        assert_eq!(event.is_expired(now), expired, "{expiration}");
    }
    assert!(!structured("{}").is_expired(now));
}

#[test]
fn what_is_published_comes_back() {
    let data = b"\0\xff bytes";
    let published = crate::publish::envelope(&crate::publish::Publication {
        source: "app",
        pubsub: "bus",
        topic: "orders",
        data: Bytes::from_static(data),
        content_type: "image/png",
        metadata: &RequestMetadata::new(),
        raw: false,
        trace_parent: "t",
        trace_state: "",
        broker_expires: false,
        now: Timestamp::UNIX_EPOCH,
    });
    let event = of(&message(&published.unwrap(), None, &[]), false);
    assert_eq!(event.data().unwrap(), &data[..]);
    assert_eq!(event.data_content_type(), "image/png");
    assert_eq!(event.trace_parent(), "t");
}

#[test]
fn several_events_are_one_body() {
    let (one, two) = (
        structured(r#"{"id":"1"}"#),
        of(&message(b"ab", None, &[]), true),
    );
    let metadata: RequestMetadata = [("k\"".to_owned(), "v".to_owned())].into();
    let none = RequestMetadata::new();
    let entries = [
        BulkItem {
            entry_id: "a",
            event: &one,
            content_type: "application/cloudevents+json",
            metadata: &metadata,
        },
        BulkItem {
            entry_id: "b",
            event: &two,
            content_type: "",
            metadata: &none,
        },
    ];
    assert_eq!(
        parsed(&bulk_body("7", ("bus", "orders"), &metadata, &entries)),
        json!({
            "id": "7", "type": "com.dapr.event.sent.bulk", "topic": "orders", "pubsubname": "bus", "metadata": {"k\"": "v"},
            "entries": [
                {"entryId": "a", "event": {"id": "1"}, "metadata": {"k\"": "v"}, "contentType": "application/cloudevents+json"},
                {"entryId": "b", "event": "YWI=", "metadata": {}, "contentType": ""},
            ],
        })
    );
}
