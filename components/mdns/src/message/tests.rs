use proptest::prelude::*;

use super::{Data, Message, Question, Record};

fn record(name: &str, data: Data) -> Record {
    Record {
        name: name.to_owned(),
        flush: false,
        ttl: 120,
        data,
    }
}

fn everything() -> Message {
    let instance = "host:7.orders.local.";
    Message {
        id: 7,
        response: true,
        questions: Vec::new(),
        answers: vec![record("orders.local.", Data::Ptr(instance.to_owned()))],
        probe: false,
        additional: vec![
            record(
                instance,
                Data::Srv {
                    port: 50002,
                    target: "host.local.".to_owned(),
                },
            ),
            record(instance, Data::Txt(vec!["orders".to_owned()])),
            record("host.local.", Data::A([127, 0, 0, 1].into())),
            record("host.local.", Data::Aaaa([0, 0, 0, 0, 0, 0, 0, 1].into())),
        ],
    }
}

#[test]
fn what_is_written_is_read() {
    let message = everything();
    assert_eq!(Message::decode(&message.encode().unwrap()), Ok(message));
    let question = Message::question("orders.local.".to_owned());
    assert_eq!(Message::decode(&question.encode().unwrap()), Ok(question));
}

/// Bytes as upstream's sidecar sends them: compressed names.
#[test]
fn compressed_names_are_read() {
    let mut bytes = vec![0, 0, 0x84, 0, 0, 0, 0, 2, 0, 0, 0, 0];
    bytes.extend(b"\x06orders\x05local\x00"); // at 12
    bytes.extend([0, 12, 0, 1, 0, 0, 0x0c, 0x80, 0, 5]);
    bytes.extend(b"\x02x1\xc0\x0c"); // at 36: x1 and a jump to 12
    bytes.extend([0xc0, 36, 0, 16, 0x80, 1, 0, 0, 0, 120, 0, 7]);
    bytes.extend(b"\x06orders");
    let message = Message::decode(&bytes).unwrap();
    let instance = "x1.orders.local.".to_owned();
    assert_eq!(message.answers[0].name, "orders.local.");
    assert_eq!(message.answers[0].data, Data::Ptr(instance.clone()));
    assert_eq!(message.answers[1].name, instance);
    assert!(message.answers[1].flush);
    assert_eq!(
        message.answers[1].data,
        Data::Txt(vec!["orders".to_owned()])
    );
}

#[test]
fn a_name_that_points_to_itself_is_refused() {
    let mut bytes = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    bytes.extend([0xc0, 12, 0, 12, 0, 1]);
    assert!(Message::decode(&bytes).is_err());
    let mut bytes = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    bytes.extend([1, b'a', 0xc0, 12, 0, 12, 0, 1]);
    assert!(Message::decode(&bytes).is_err());
}

#[test]
fn a_dot_inside_a_label_is_told_from_one_between_labels() {
    let mut bytes = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    bytes.extend(b"\x03a.b\x00\x00\x0c\x80\x01");
    let wanted = Question {
        name: "a\\.b.".to_owned(),
        kind: 12,
        unicast: true,
    };
    assert_eq!(Message::decode(&bytes).unwrap().questions, [wanted]);
}

#[test]
fn a_label_that_does_not_fit_is_named() {
    let error = Message::question(format!("{}.local.", "x".repeat(64)));
    let error = error.encode().unwrap_err().to_string();
    assert!(error.contains("63 bytes"), "{error}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        drop(Message::decode(&bytes));
    }

    #[test]
    fn a_message_with_flipped_bytes_is_read_or_refused(
        flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8)
    ) {
        let mut bytes = everything().encode().unwrap();
        for (at, value) in flips {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        drop(Message::decode(&bytes));
    }
}
