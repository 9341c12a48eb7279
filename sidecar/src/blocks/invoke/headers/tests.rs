use http::{HeaderMap, HeaderValue};
use trilby_proto::internals::v1::ListStringValue;

use super::{
    ForwardingHost, Origin, Parties, Wire, from_wire, stamp_forwarding, stamp_identity,
    strip_hop_by_hop, to_http, to_metadata, to_wire,
};

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(
            http::HeaderName::try_from(*name).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    map
}

fn wire(pairs: &[(&str, &str)]) -> Wire {
    let list = |value: &str| ListStringValue {
        values: vec![value.to_owned()],
    };
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), list(value)))
        .collect()
}

const PARTIES: Parties<'static> = Parties {
    caller_namespace: "ns",
    caller: "a",
    callee: "b",
};

#[test]
fn forged_identity_is_overwritten_in_every_spelling() {
    let (mut received, _) = from_wire(wire(&[
        ("Dapr-Caller-App-Id", "forged"),
        ("DAPR-CALLER-NAMESPACE", "x"),
    ]));
    stamp_identity(&mut received, &PARTIES);
    assert_eq!(
        received
            .get_all("dapr-caller-app-id")
            .iter()
            .collect::<Vec<_>>(),
        ["a"]
    );
    assert_eq!(received["dapr-caller-namespace"], "ns");
    let sent = to_wire(&received, Origin::Http);
    assert_eq!(sent["dapr-caller-app-id"].values, ["a"]);
    assert!(!sent.contains_key("Dapr-Caller-App-Id"));
}

#[test]
fn spelling_set_by_a_sidecar_wins_over_a_forged_one() {
    for _ in 0..32 {
        let (received, _) = from_wire(wire(&[
            ("Dapr-Caller-App-Id", "forged"),
            ("dapr-caller-app-id", "true"),
        ]));
        assert_eq!(
            received
                .get_all("dapr-caller-app-id")
                .iter()
                .collect::<Vec<_>>(),
            ["true"]
        );
    }
}

#[test]
fn names_from_http_are_canonical_on_the_wire() {
    let sent = to_wire(
        &headers(&[("x-request-id", "1"), ("host", "h"), ("user-agent", "u")]),
        Origin::Http,
    );
    let mut names: Vec<_> = sent.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["User-Agent", "X-Request-Id"]);
}

#[test]
fn grpc_metadata_keeps_its_case_and_is_recognised() {
    let sent = to_wire(
        &headers(&[("content-type", "application/grpc"), ("k", "v")]),
        Origin::Grpc,
    );
    assert!(sent.contains_key("k"));
    assert_eq!(from_wire(sent).1, Origin::Grpc);
    assert_eq!(
        from_wire(wire(&[("Content-Type", "application/grpc")])).1,
        Origin::Http
    );
}

#[test]
fn pseudo_headers_get_a_prefix() {
    let (received, _) = from_wire(wire(&[(":authority", "b.local"), ("not a name", "x")]));
    assert_eq!(received["dapr-authority"], "b.local");
    assert_eq!(received.len(), 1);
}

#[test]
fn connection_headers_and_what_they_name_stay_behind() {
    let mut map = headers(&[
        ("connection", "close, X-Secret"),
        ("x-secret", "1"),
        ("te", "trailers"),
        ("keep", "2"),
    ]);
    strip_hop_by_hop(&mut map);
    assert_eq!(map.len(), 1);
    assert_eq!(map["keep"], "2");
}

#[test]
fn http_side_gets_no_binary_and_prefixed_grpc_headers() {
    let map = to_http(headers(&[
        ("grpc-timeout", "1S"),
        ("k-bin", "AA"),
        ("content-type", "text/plain"),
        ("content-length", "3"),
        ("destination-app-id", "b"),
        ("x", "y"),
    ]));
    assert_eq!(map.len(), 2);
    assert_eq!(map["dapr-grpc-timeout"], "1S");
    assert_eq!(map["x"], "y");
}

#[test]
fn grpc_side_gets_http_headers_under_a_prefix() {
    let from_http = to_metadata(
        headers(&[
            ("accept", "*/*"),
            ("x", "y"),
            ("content-type", "text/plain"),
        ]),
        Origin::Http,
    );
    assert_eq!(from_http["dapr-accept"], "*/*");
    assert_eq!(from_http["dapr-content-type"], "text/plain");
    assert_eq!(from_http["x"], "y");
    let from_grpc = to_metadata(
        headers(&[("accept", "*/*"), ("content-type", "application/grpc")]),
        Origin::Grpc,
    );
    assert_eq!(from_grpc["accept"], "*/*");
    assert_eq!(from_grpc.len(), 1);
}

#[test]
fn forwarding_headers_are_appended() {
    let mut map = headers(&[("x-forwarded-for", "1.2.3.4")]);
    stamp_forwarding(
        &mut map,
        &ForwardingHost::new("10.0.0.1".parse().unwrap(), "pod"),
    );
    assert_eq!(
        map.get_all("x-forwarded-for").iter().collect::<Vec<_>>(),
        ["1.2.3.4", "10.0.0.1"]
    );
    assert_eq!(map["forwarded"], "for=10.0.0.1;by=10.0.0.1;host=pod");
    let mut v6 = HeaderMap::new();
    stamp_forwarding(
        &mut v6,
        &ForwardingHost::new("fd00::1".parse().unwrap(), "pod"),
    );
    assert_eq!(
        v6["forwarded"],
        "for=\"[fd00::1]\";by=\"[fd00::1]\";host=pod"
    );
}
