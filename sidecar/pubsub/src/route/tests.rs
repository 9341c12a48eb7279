use trilby_components::pubsub::Message;

use super::*;

fn event(json: &str) -> Event {
    let message = Message {
        data: json.to_owned().into(),
        ..Message::default()
    };
    Event::of(&message, false, ("bus", "orders")).unwrap()
}

fn holds(rule: &str, json: &str) -> Result<bool, EvaluationError> {
    let routes = Routes::compile(&[(rule, "yes")], None).unwrap();
    routes.choose(&event(json)).map(|path| path.is_some())
}

#[test]
fn the_first_rule_that_holds_decides() {
    let rules = [
        ("event.type == 'a'", "/a"),
        ("event.type.startsWith('a')", "/start"),
        ("  ", "/any"),
        ("nonsense(", "/never"),
    ];
    assert!(Routes::compile(&rules, None).is_err());
    let routes = Routes::compile(&rules[..2], Some("/default")).unwrap();
    for (kind, path) in [("a", "/a"), ("ab", "/start"), ("b", "/default")] {
        assert_eq!(
            routes.choose(&event(&format!(r#"{{"type":"{kind}"}}"#))),
            Ok(Some(path))
        );
    }
    let always = Routes::compile(&rules[..3], Some("/default")).unwrap();
    assert_eq!(always.choose(&event(r#"{"type":"b"}"#)), Ok(Some("/any")));
    let none = Routes::compile(&rules[..2], None).unwrap();
    assert_eq!(none.choose(&event(r#"{"type":"b"}"#)), Ok(None));
    assert_eq!(always.paths(), ["/a", "/start", "/any", "/default"]);
    let told: Vec<_> = none.rules().collect();
    assert_eq!(told, rules[..2]);
}

#[test]
fn rules_read_events() {
    let json = r#"{"id":"1","type":"order.v1","data":{"amount":15,"price":2.5,"tags":["a","b"],"who":{"name":"Ada"},
        "none":null,"yes":true,"big":1e20},"topic":"orders","traceid":""}"#;
    for (rule, expected) in [
        ("event.type == 'order.v1'", true),
        ("event['type'] == \"order.v1\"", true),
        ("event.data.amount > 10", true),
        ("event.data.amount == 15", true),
        ("event.data.amount == 15.0", true),
        ("event.data.amount / 2.0 == 7.5", true),
        ("int(event.data.amount) % 2 == 1", true),
        ("event.data.amount + 0.5 > 15.0", true),
        ("event.data.price < 3 && event.data.price >= 2.5", true),
        ("event.data.who.name == 'Ada'", true),
        ("event.data.none == null", true),
        ("event.data.yes", true),
        ("!event.data.yes", false),
        ("'a' in event.data.tags", true),
        ("'c' in event.data.tags", false),
        ("size(event.data.tags) == 2", true),
        ("event.data.tags.size() == 2", true),
        ("event.data.tags.exists(t, t == 'b')", true),
        ("event.data.tags.all(t, t != 'c')", true),
        ("event.data.tags.filter(t, t != 'b').size() == 1", true),
        ("event.data.tags.map(t, t + '!')[0] == 'a!'", true),
        ("has(event.data)", true),
        ("has(event.data.amount)", true),
        ("has(event.data.missing)", false),
        ("has(event.missing)", false),
        (
            "has(event.data) && has(event.data.amount) && event.data.amount > 20",
            false,
        ),
        ("'amount' in event.data", true),
        ("'data' in event", true),
        ("event.type.matches('^order\\\\.v[0-9]+$')", true),
        ("event.type.contains('v1') || undeclared", true),
        ("event.type.endsWith('v2')", false),
        ("event.type == 'x' ? false : true", true),
        ("true", true),
        ("1 == 2", false),
    ] {
        assert_eq!(holds(rule, json), Ok(expected), "{rule}");
    }
}

#[test]
fn a_rule_that_says_neither_is_an_error() {
    for rule in [
        "event.data.missing == 1",
        "event.missing",
        "undeclared == 1",
        "event.type",
        "event.data.a.b.c",
        "1",
        "event.type + 1 == 2",
        "event.data[5] == 1",
        "1 / 0 == 1",
        "event.type.matches('(')",
        "timestamp(event.type) > timestamp('2020-01-01T00:00:00Z')",
        "int(event.type) == 1",
    ] {
        let failed = holds(rule, r#"{"type":"t","data":{"a":1}}"#).unwrap_err();
        assert_eq!(failed.rule, rule);
        assert!(!failed.reason.is_empty() && failed.reason.len() < 2000);
    }
}

#[test]
fn what_is_no_expression_is_refused() {
    let nested = "(".repeat(5_000) + "true" + &")".repeat(5_000);
    let chain = "!".repeat(5_000) + "true";
    let long = format!("'{}' == ''", "a".repeat(LONGEST));
    for rule in [
        "event.",
        "event.type ==",
        "(",
        "'a",
        "a b",
        "event.type == 'a' &&",
        &nested,
        &chain,
        &long,
    ] {
        let refused = Routes::compile(&[(rule, "/")], None).unwrap_err();
        assert_eq!(refused.rule, rule);
    }
}

#[test]
fn only_what_a_rule_names_has_to_be_readable() {
    let deep = format!(
        r#"{{"type":"t","data":{}{}}}"#,
        "[".repeat(500),
        "]".repeat(500)
    );
    assert_eq!(holds("event.type == 't'", &deep), Ok(true));
    assert_eq!(holds("event['type'] == 't'", &deep), Ok(true));
    assert!(holds("has(event.data)", &deep).is_err());
    assert!(holds("size(event) > 1", &deep).is_err());
    assert_eq!(
        holds("size(event) == 2", r#"{"type":"t","data":1}"#),
        Ok(true)
    );
}

#[test]
fn rules_know_messages_of_every_kind() {
    let message = Message {
        data: "abc".into(),
        content_type: Some("application/octet-stream".to_owned()),
        metadata: [("ce_type".to_owned(), "t".to_owned())].into(),
        ..Message::default()
    };
    let holds = |raw, rule| {
        let routes = Routes::compile(&[(rule, "/")], None).unwrap();
        let event = Event::of(&message, raw, ("bus", "orders")).unwrap();
        routes.choose(&event).map(|path| path.is_some())
    };
    assert_eq!(
        holds(false, "event.type == 't' && event.data == b'abc'"),
        Ok(true)
    );
    assert_eq!(
        holds(
            true,
            "event.data_base64 == 'YWJj' && event.topic == 'orders'"
        ),
        Ok(true)
    );
}

#[test]
fn a_publisher_cannot_keep_a_rule_busy() {
    let list = vec!["1"; 6_000].join(",");
    let large = format!(r#"{{"data":{{"a":[{list}],"s":"aaaa"}}}}"#);
    assert_eq!(holds("event.data.a.all(x, x == 1)", &large), Ok(true));
    assert_eq!(
        holds("event.data.a.filter(x, x == 1).size() == 6000", &large),
        Ok(true)
    );
    for rule in [
        "event.data.a.all(x, event.data.a.all(y, x == y))",
        "event.data.a.all(x, !(2 in event.data.a))",
        "event.data.a.map(x, event.data.a.filter(y, y == x)).size() == 0",
    ] {
        let refused = holds(rule, &large).unwrap_err();
        assert!(refused.reason.contains("too large"), "{refused}");
        assert!(holds(rule, r#"{"data":{"a":[1,1]}}"#).is_ok(), "{rule}");
    }
    let patterns = "event.data.a.exists(x, event.data.s.matches(x))";
    assert!(Routes::compile(&[(patterns, "/")], None).is_err());
    assert!(Routes::compile(&[("event.data.a.exists(x, x.matches('^a+$'))", "/")], None).is_ok());
}
