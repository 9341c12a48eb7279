use super::*;

/// The parts of a subscription that can be compared.
fn told(subscription: &Subscription) -> String {
    let Subscription {
        pubsub,
        topic,
        metadata,
        routes,
        dead_letter,
        bulk,
        raw,
    } = subscription;
    format!(
        "{pubsub} {topic} {metadata:?} {:?} {dead_letter:?} {bulk:?} {raw}",
        routes.paths()
    )
}

fn http(body: &str) -> (Vec<String>, Vec<String>) {
    let (usable, refused) = of_http(body.as_bytes()).unwrap();
    (
        usable.iter().map(told).collect(),
        refused.iter().map(ToString::to_string).collect(),
    )
}

#[test]
fn an_app_answers_in_every_form_there_is() {
    let (usable, refused) = http(
        r#"[
        {"pubsubname": "a", "topic": "t", "route": "/one"},
        {"pubsubName": "a", "Topic": "u", "routes": {"default": "/two"}, "deadLetterTopic": "dead"},
        {"pubsubname": "a", "topic": "v", "route": "/not", "routes": {"default": "/d", "rules": [
            {"match": "event.type == 'x'", "path": "/x"}, {"match": " ", "path": "/any"}]}},
        {"pubsubname": "a", "topic": "w", "route": "r", "metadata": {"rawPayload": "true", "n": null},
         "bulkSubscribe": {"enabled": true, "maxMessagesCount": 5, "maxAwaitDurationMs": 40}},
        {"pubsubname": "a", "topic": "x", "route": "r", "bulkSubscribe": {"enabled": false, "maxMessagesCount": 5}},
        {"pubsubname": "a", "topic": "y", "route": "r", "routes": null, "bulkSubscribe": {"enabled": true}}
        ] and what follows"#,
    );
    assert_eq!(refused, Vec::<String>::new());
    assert_eq!(
        usable,
        [
            r#"a t {} ["/one"] None None false"#,
            r#"a u {} ["/two"] Some("dead") None false"#,
            r#"a v {} ["/x", "/any", "/d"] None None false"#,
            r#"a w {"n": "", "rawPayload": "true"} ["r"] None Some(Bulk { max_messages: 5, max_wait: 40ms }) true"#,
            r#"a x {} ["r"] None None false"#,
            r#"a y {} ["r"] None Some(Bulk { max_messages: 100, max_wait: 1s }) false"#,
        ]
    );
}

#[test]
fn one_that_is_wrong_is_told_and_leaves_the_others() {
    let (usable, refused) = http(
        r#"[null, {"pubsubname": "a", "topic": "t"}, {"topic": "t", "route": "/"}, {"pubsubname": "a", "route": "/"},
        {"pubsubname": "a", "topic": 5, "route": "/"}, {"pubsubname": "a", "topic": "t", "routes": {"rules": [null]}},
        {"pubsubname": "a", "topic": "t", "routes": {"rules": [{"match": "event.", "path": "/"}]}},
        {"pubsubname": "a", "topic": "t", "route": "/", "metadata": {"rawPayload": "maybe"}},
        {"pubsubname": "a", "topic": "t", "route": "/", "metadata": {"a": 1}},
        {"pubsubname": "a", "topic": "t", "route": "/", "bulkSubscribe": {"maxMessagesCount": 1.5}},
        {"pubsubname": "a", "topic": "good", "route": "/"}]"#,
    );
    assert_eq!(usable, [r#"a good {} ["/"] None None false"#]);
    for (index, (refused, expected)) in refused
        .iter()
        .zip([
            "pubsubname is missing",
            "topic t has no route",
            "pubsubname is missing",
            "topic is missing",
            "topic: must be a string",
            "rules: must be an array of objects",
            "rule \"event.\"",
            "metadata: rawPayload",
            "metadata: must be an object of strings",
            "maxMessagesCount: must be a number of 32 bits",
        ])
        .enumerate()
    {
        let start = format!("subscription {index} of the app: {expected}");
        assert!(refused.starts_with(&start), "{refused}\n{start}");
    }
    assert_eq!(refused.len(), 10);
}

#[test]
fn an_answer_that_is_no_list_is_refused_whole() {
    for body in ["{}", "[1]", "[", "ok"] {
        assert!(of_http(body.as_bytes()).is_err(), "{body}");
    }
    for body in ["", " \n", "[]", "null"] {
        assert!(of_http(body.as_bytes()).unwrap().0.is_empty(), "{body}");
    }
}

#[test]
fn without_routes_an_app_over_grpc_gets_everything() {
    use trilby_proto::runtime::v1::{
        BulkSubscribeConfig, ListTopicSubscriptionsResponse, TopicRoutes, TopicRule,
        TopicSubscription,
    };
    let subscription = |routes| TopicSubscription {
        pubsub_name: "a".to_owned(),
        topic: "t".to_owned(),
        routes,
        bulk_subscribe: Some(BulkSubscribeConfig {
            enabled: true,
            max_messages_count: -1,
            max_await_duration_ms: 7,
        }),
        ..TopicSubscription::default()
    };
    let rules = vec![TopicRule {
        r#match: "true".to_owned(),
        path: "p".to_owned(),
    }];
    let (usable, refused) = of_grpc(ListTopicSubscriptionsResponse {
        subscriptions: vec![
            subscription(None),
            subscription(Some(TopicRoutes::default())),
            subscription(Some(TopicRoutes {
                rules,
                default: String::new(),
            })),
            TopicSubscription::default(),
        ],
    });
    let bulk = "None Some(Bulk { max_messages: 100, max_wait: 7ms }) false";
    let usable: Vec<_> = usable.iter().map(told).collect();
    assert_eq!(
        usable,
        [
            format!(r#"a t {{}} [""] {bulk}"#),
            format!(r#"a t {{}} [""] {bulk}"#),
            format!(r#"a t {{}} ["p"] {bulk}"#)
        ]
    );
    assert_eq!(refused.len(), 1);
}

fn stream(pubsub: &str, topic: &str, dead_letter: &str) -> Subscription {
    of_stream(pubsub, topic, RequestMetadata::new(), dead_letter).unwrap()
}

#[test]
fn what_the_app_answers_replaces_resources() {
    let declared = vec![
        ("one".to_owned(), stream("a", "t", "1")),
        ("two".to_owned(), stream("a", "u", "2")),
        ("three".to_owned(), stream("a", "t", "3")),
        ("four".to_owned(), stream("b", "t", "4")),
    ];
    let programmatic = vec![
        stream("a", "u", "5"),
        stream("a", "v", "6"),
        stream("a", "v", "7"),
    ];
    let (merged, refused) = merge(declared, programmatic);
    let kept: Vec<_> = merged
        .iter()
        .map(|one| one.dead_letter.as_deref().unwrap())
        .collect();
    assert_eq!(kept, ["1", "5", "4", "7"]);
    let refused: Vec<_> = refused
        .iter()
        .map(|refused| refused.place.as_str())
        .collect();
    assert_eq!(refused, ["three", "two", "subscription 1 of the app"]);
}

#[test]
fn a_resource_without_a_route_is_refused() {
    let mut spec = SubscriptionSpec {
        pubsub_name: "a".to_owned(),
        topic: "t".to_owned(),
        ..SubscriptionSpec::default()
    };
    assert_eq!(
        of_resource(&spec).unwrap_err(),
        Reason::NoRoute("t".to_owned())
    );
    spec.routes.default = Some("/p".to_owned());
    spec.bulk_subscribe = Some(BulkSubscribeSpec {
        enabled: true,
        max_messages_count: Some(3),
        max_await_duration_ms: None,
    });
    assert_eq!(
        told(&of_resource(&spec).unwrap()),
        r#"a t {} ["/p"] None Some(Bulk { max_messages: 3, max_wait: 1s }) false"#
    );
}
