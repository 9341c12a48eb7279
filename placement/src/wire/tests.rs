use tonic::Code;

use super::*;

fn host(id: &str, namespace: &str, entities: &[&str]) -> Host {
    Host {
        name: "10.0.0.1:50002".into(),
        id: id.into(),
        namespace: namespace.into(),
        entities: entities.iter().map(|entity| (*entity).to_owned()).collect(),
        operation: HostOperation::Report.into(),
        ..Host::default()
    }
}

fn identified(id: &str) -> Sender {
    Sender::Identified(id.parse().expect("a SPIFFE id"))
}

fn refusal(sender: &Sender, host: &Host) -> (Code, String) {
    let status = sender
        .check(host, Dialect::Plain)
        .expect_err("it is refused");
    (status.code(), status.message().to_owned())
}

#[test]
fn operation_and_version_belong_together() {
    let versioned = Host {
        operation: 0,
        version: Some(1),
        ..host("a", "n", &[])
    };
    assert_eq!(
        refusal(&Sender::Anybody, &versioned),
        (
            Code::InvalidArgument,
            "both operation and version must be set or both must be unset".to_owned()
        )
    );
    let old = Host {
        operation: 0,
        ..host("a", "n", &[])
    };
    assert!(Sender::Anybody.check(&old, Dialect::Plain).is_ok());
}

#[test]
fn app_and_namespace_are_required() {
    let expected = (
        Code::InvalidArgument,
        "host ID and namespace must be provided".to_owned(),
    );
    assert_eq!(refusal(&Sender::Anybody, &host("", "n", &[])), expected);
    assert_eq!(refusal(&Sender::Anybody, &host("a", "", &[])), expected);
}

#[test]
fn app_and_namespace_must_be_those_of_the_certificate() {
    let sender = identified("spiffe://elsewhere/ns/n/a");
    assert!(
        sender
            .check(&host("a", "n", &["A"]), Dialect::Plain)
            .is_ok(),
        "of any trust domain"
    );
    assert_eq!(
        refusal(&sender, &host("b", "n", &[])),
        (
            Code::PermissionDenied,
            "provided app ID b doesn't match the one in the SPIFFE ID (a)".to_owned()
        )
    );
    assert_eq!(
        refusal(&sender, &host("a", "m", &[])),
        (
            Code::PermissionDenied,
            "provided client namespace m doesn't match the one in the SPIFFE ID (n)".to_owned()
        )
    );
}

#[test]
fn internal_types_belong_to_their_app() {
    for entity in [
        "dapr.internal.n.a.workflow",
        "dapr.internal.n.a",
        "dapr.internals.x",
        "dapr",
        "A",
    ] {
        assert!(
            Sender::Anybody
                .check(&host("a", "n", &[entity]), Dialect::Plain)
                .is_ok(),
            "{entity}"
        );
    }
    assert!(
        Sender::Anybody
            .check(
                &host("a.b", "n", &["dapr.internal.n.a.b.activity"]),
                Dialect::Plain
            )
            .is_ok()
    );
    for entity in [
        "dapr.internal.n.b.workflow",
        "dapr.internal.m.a.workflow",
        "dapr.internal.n",
        "dapr.internal",
    ] {
        assert_eq!(
            refusal(&Sender::Anybody, &host("a", "n", &["A", entity])),
            (
                Code::PermissionDenied,
                format!("entity {entity} is not allowed for app ID a in namespace n")
            )
        );
    }
}

#[test]
fn stream_keeps_its_origin() {
    let first = Sender::Anybody
        .check(&host("a", "n", &[]), Dialect::Plain)
        .expect("fine");
    let same = Sender::Anybody
        .check(&host("a", "n", &["A"]), Dialect::Plain)
        .expect("fine");
    assert!(first.check_same(&same).is_ok());
    let other = Sender::Anybody
        .check(&host("a", "m", &[]), Dialect::Plain)
        .expect("fine by itself");
    let status = first.check_same(&other).expect_err("it moved");
    assert_eq!(status.code(), Code::PermissionDenied);
}

#[test]
fn operations_become_messages() {
    let message = |operation: HostOperation, version| {
        let host = Host {
            operation: operation.into(),
            version,
            ..host("a", "n", &["A"])
        };
        Message::new(host, Dialect::Plain)
    };
    let ack = |phase, version| Ack { phase, version };
    for (operation, phase) in [
        (HostOperation::Lock, Phase::Lock),
        (HostOperation::Update, Phase::Update),
        (HostOperation::Unlock, Phase::Unlock),
    ] {
        let Message::Ack(got) = message(operation, Some(3)) else {
            panic!("{operation:?} acknowledges")
        };
        assert_eq!(got, ack(phase, Some(3)));
    }
    assert!(
        matches!(message(HostOperation::Report, None), Message::Report(member) if member.is_actor_host())
    );
    assert!(matches!(
        message(HostOperation::Unknown, None),
        Message::Heartbeat(_)
    ));
}

#[test]
fn a_beat_is_a_message_without_an_operation_of_those_who_announced_beats() {
    let beat = Host {
        operation: 0,
        version: Some(7),
        ..host("a", "n", &[])
    };
    assert!(Sender::Anybody.check(&beat, Dialect::Extended).is_ok());
    assert!(matches!(
        Message::new(beat.clone(), Dialect::Extended),
        Message::Beat(7)
    ));
    let goodbye = Host {
        version: None,
        ..beat.clone()
    };
    assert!(matches!(
        Message::new(goodbye, Dialect::Extended),
        Message::Goodbye
    ));
    assert!(matches!(
        Message::new(beat, Dialect::Plain),
        Message::Heartbeat(_)
    ));
}

#[test]
fn only_an_announcement_of_these_very_rules_counts() {
    let mut metadata = HeaderMap::new();
    assert_eq!(Announced::read(&metadata).dialect, Dialect::Plain);
    metadata.insert(extension::DIALECT, "2".parse().expect("ASCII"));
    assert_eq!(Announced::read(&metadata).dialect, Dialect::Plain);
    metadata.insert(extension::DIALECT, "1".parse().expect("ASCII"));
    let announced = Announced::read(&metadata);
    assert_eq!(announced.dialect, Dialect::Extended);
    assert!(!announced.returning);
    metadata.insert(extension::RETURNING, "1".parse().expect("ASCII"));
    assert!(Announced::read(&metadata).returning);
}

#[test]
fn types_are_told_on_in_order() {
    let reported = host("a", "n", &["b", "a"]);
    assert_eq!(member(reported).payload.entities, ["a", "b"]);
}
