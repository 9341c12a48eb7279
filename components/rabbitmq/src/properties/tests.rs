use std::time::Duration;

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use trilby_components::RequestMetadata;

use super::{as_metadata, content_type, of_request, texts};

fn metadata(pairs: &[(&str, &str)]) -> RequestMetadata {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn read(pairs: &[(&str, &str)]) -> Result<BasicProperties, String> {
    of_request(&metadata(pairs), None, None)
}

#[test]
fn metadata_names_properties_in_any_case() {
    let properties = read(&[
        ("MessageId", "m"),
        ("correlationID", "c"),
        ("Type", "t"),
        ("CONTENTTYPE", "a/b"),
        ("priority", "3"),
        ("ttlInSeconds", "2"),
    ]);
    let expected = BasicProperties::default()
        .with_content_type("a/b".into())
        .with_message_id("m".into())
        .with_correlation_id("c".into())
        .with_type("t".into())
        .with_priority(3)
        .with_expiration("2000".into());
    assert_eq!(properties, Ok(expected));
}

#[test]
fn the_content_type_is_what_the_publisher_said() {
    let of = |pairs: &[(&str, &str)], said| {
        let properties = of_request(&metadata(pairs), said, None).unwrap();
        properties.content_type().clone().unwrap().to_string()
    };
    assert_eq!(of(&[], None), "text/plain", "upstream's word for nothing");
    assert_eq!(of(&[], Some("image/png")), "image/png");
    assert_eq!(of(&[("contentType", "a/b")], Some("image/png")), "a/b");
}

#[test]
fn upstreams_word_for_nothing_is_told_to_nobody() {
    assert_eq!(content_type(&read(&[]).unwrap()), None);
    let said = read(&[("contentType", "a/b")]).unwrap();
    assert_eq!(content_type(&said).as_deref(), Some("a/b"));
}

#[test]
fn a_message_waits_as_long_as_it_says_or_else_its_topic() {
    let of = |pairs: &[(&str, &str)]| {
        let properties = of_request(&metadata(pairs), None, Some(Duration::from_secs(9)));
        properties.map(|found| found.expiration().clone().map(String::from))
    };
    assert_eq!(of(&[]), Ok(Some("9000".into())));
    assert_eq!(of(&[("ttl", "150ms")]), Ok(Some("150".into())));
    assert_eq!(of(&[("TTLINSECONDS", "1")]), Ok(Some("1000".into())));
    assert_eq!(of(&[("ttl", "-1s")]), Ok(Some("0".into())));
    for wrong in ["00", "-1", "soon"] {
        assert!(of(&[("ttl", wrong)]).is_err(), "{wrong}");
    }
}

#[test]
fn priorities_are_from_0_to_255() {
    for (text, priority) in [
        ("-1", None),
        ("0", None),
        ("7", Some(7)),
        ("300", Some(255)),
    ] {
        let properties = read(&[("priority", text)]).unwrap();
        assert_eq!(*properties.priority(), priority, "{text}");
    }
    let wrong = read(&[("priority", "high")]).unwrap_err();
    assert!(wrong.contains("priority"), "{wrong}");
}

#[test]
fn what_amqp_has_no_room_for_is_refused() {
    let wrong = read(&[("messageID", &"x".repeat(256))]).unwrap_err();
    assert!(wrong.contains("messageID"), "{wrong}");
}

#[test]
fn properties_and_headers_become_metadata() {
    let mut headers = FieldTable::default();
    headers.insert("text".into(), AMQPValue::LongString("a".into()));
    headers.insert("number".into(), AMQPValue::LongInt(-5));
    headers.insert("nothing".into(), AMQPValue::Void);
    let properties = read(&[("messageID", "m"), ("type", "t")]).unwrap();
    let properties = properties.with_headers(headers);
    let expected = metadata(&[
        ("metadata.messageid", "m"),
        ("metadata.type", "t"),
        ("metadata.contenttype", "text/plain"),
        ("metadata.text", "a"),
        ("metadata.number", "-5"),
    ]);
    assert_eq!(as_metadata(&properties), expected);
    let texts: Vec<_> = texts(&properties).collect();
    assert_eq!(texts, [("text", "a".to_owned())]);
}
