//! An entry of a stream, as upstream writes it: `data`, and `metadata` as a JSON object where there is any.

use std::fmt;

use ::redis::{Cmd, ErrorKind, RedisError, RedisResult, Value, from_redis_value};
use bytes::Bytes;
use trilby_components::{RequestMetadata, pubsub::Message};

/// The id of an entry; they grow along a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    /// When it was added, by the server's clock.
    milliseconds: u64,
    /// Among those of the same time.
    number: u64,
}

/// One message in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: Id,
    pub(super) data: Bytes,
    pub(super) metadata: RequestMetadata,
}

/// What adding an entry removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trimming {
    None,
    /// The oldest, beyond about so many.
    Beyond(u64),
    /// Those added before this time, in milliseconds since 1970, about.
    Before(i64),
}

impl Id {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (milliseconds, number) = text.split_once('-')?;
        Some(Self {
            milliseconds: milliseconds.parse().ok()?,
            number: number.parse().ok()?,
        })
    }

    /// The least one that is greater.
    pub(super) fn next(self) -> Self {
        match self.number.checked_add(1) {
            Some(number) => Self { number, ..self },
            None => Self {
                milliseconds: self.milliseconds.saturating_add(1),
                number: 0,
            },
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.milliseconds, self.number)
    }
}

impl Entry {
    pub(super) fn message(self, topic: &str) -> Message {
        Message {
            topic: topic.to_owned(),
            data: self.data,
            content_type: None,
            metadata: self.metadata,
        }
    }
}

/// The command that adds a message to its stream.
pub(super) fn adding(message: &Message, trimming: &Trimming) -> Cmd {
    let mut add = ::redis::cmd("XADD");
    add.arg(&message.topic);
    match trimming {
        Trimming::None => {}
        Trimming::Beyond(most) => {
            add.arg("MAXLEN").arg("~").arg(*most);
        }
        Trimming::Before(time) => {
            add.arg("MINID").arg("~").arg(format!("{time}-1"));
        }
    }
    add.arg("*").arg("data").arg(&message.data[..]);
    if !message.metadata.is_empty() {
        let metadata = serde_json::json!(message.metadata);
        add.arg("metadata").arg(metadata.to_string());
    }
    add
}

/// The entries in an answer of `XREADGROUP` that asked for one stream.
pub(super) fn of_stream(answer: Value) -> RedisResult<Vec<Entry>> {
    let found = match answer {
        Value::Nil => return Ok(Vec::new()),
        Value::Array(mut streams) => match streams.pop() {
            Some(Value::Array(mut stream)) => stream.pop(),
            _ => None,
        },
        Value::Map(mut streams) => streams.pop().map(|(_, found)| found),
        _ => None,
    };
    entries(found.ok_or_else(|| unexpected("a stream"))?)
}

/// The entries in an answer. Those that are gone are left out.
pub(super) fn entries(answer: Value) -> RedisResult<Vec<Entry>> {
    let Value::Array(entries) = answer else {
        return Err(unexpected("entries"));
    };
    let there = entries.into_iter().filter(|entry| *entry != Value::Nil);
    there.filter_map(|value| entry(value).transpose()).collect()
}

fn entry(value: Value) -> RedisResult<Option<Entry>> {
    let Value::Array(parts) = value else {
        return Err(unexpected("an entry"));
    };
    let Ok([id, fields]) = <[Value; 2]>::try_from(parts) else {
        return Err(unexpected("an id and fields"));
    };
    let id: String = from_redis_value(id)?;
    let id = Id::parse(&id).ok_or_else(|| unexpected("an id"))?;
    let Value::Array(fields) = fields else {
        return Ok(None);
    };
    let mut fields = fields.into_iter();
    let (mut data, mut metadata) = (Bytes::new(), RequestMetadata::new());
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        let value: Vec<u8> = from_redis_value(value)?;
        match from_redis_value::<Vec<u8>>(name)?.as_slice() {
            b"data" => data = value.into(),
            b"metadata" => metadata = read_metadata(id, &value),
            _ => {}
        }
    }
    Ok(Some(Entry { id, data, metadata }))
}

/// A message is worth more than what cannot be read beside it.
fn read_metadata(id: Id, text: &[u8]) -> RequestMetadata {
    match serde_json::from_slice::<Option<RequestMetadata>>(text) {
        Ok(metadata) => metadata.unwrap_or_default(),
        Err(error) => {
            tracing::warn!(%id, "the metadata of a message cannot be read and is left out: {error}");
            RequestMetadata::new()
        }
    }
}

fn unexpected(wanted: &'static str) -> RedisError {
    let what = "an answer is not what was asked for";
    (ErrorKind::UnexpectedReturnType, what, wanted.to_owned()).into()
}

#[cfg(test)]
mod tests {
    use ::redis::Value;
    use trilby_components::{RequestMetadata, pubsub::Message};

    use super::{Entry, Id, Trimming, adding, of_stream};

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn answer(fields: &[&str]) -> Value {
        let fields = fields.iter().map(|text| bulk(text)).collect();
        let entry = Value::Array(vec![bulk("5-1"), Value::Array(fields)]);
        let entries = Value::Array(vec![Value::Nil, entry]);
        Value::Array(vec![Value::Array(vec![bulk("topic"), entries])])
    }

    fn read(fields: &[&str]) -> Entry {
        let mut entries = of_stream(answer(fields)).unwrap();
        entries.pop().expect("one is there")
    }

    #[test]
    fn ids_are_in_order_and_come_one_after_the_other() {
        let [low, high] = ["9-10", "10-9"].map(|text| Id::parse(text).unwrap());
        assert!(low < high);
        assert_eq!(low.next().to_string(), "9-11");
        let last = Id::parse("9-18446744073709551615").unwrap();
        assert_eq!(last.next().to_string(), "10-0");
        assert_eq!(Id::parse("10"), None);
    }

    #[test]
    fn data_and_metadata_are_read() {
        let entry = read(&["data", "x", "other", "y", "metadata", r#"{"a":"b"}"#]);
        assert_eq!(entry.id.to_string(), "5-1");
        assert_eq!(entry.data, "x");
        let metadata = RequestMetadata::from([("a".to_owned(), "b".to_owned())]);
        assert_eq!(entry.metadata, metadata);
    }

    #[test]
    fn a_message_comes_without_metadata_that_cannot_be_read() {
        for text in ["null", "{", r#"{"a":1}"#, ""] {
            let entry = read(&["data", "x", "metadata", text]);
            assert_eq!((&*entry.data, entry.metadata.len()), (&b"x"[..], 0));
        }
        assert_eq!(read(&[]).data, "", "no data is empty data");
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        assert_eq!(of_stream(Value::Nil).unwrap(), []);
        for odd in [
            Value::Okay,
            Value::Array(vec![]),
            Value::Array(vec![Value::Okay]),
        ] {
            assert!(of_stream(odd).is_err());
        }
    }

    #[test]
    fn an_entry_is_added_as_upstream_adds_it() {
        let mut message = Message {
            topic: "t".to_owned(),
            data: "d".into(),
            ..Message::default()
        };
        let words = |message: &Message, trimming| {
            let packed = adding(message, &trimming).get_packed_command();
            let text = String::from_utf8(packed).unwrap();
            let words = text.split("\r\n").skip(2).step_by(2);
            words.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words(&message, Trimming::None), "XADD t * data d");
        let metadata = ("k".to_owned(), "v".to_owned());
        message.metadata = RequestMetadata::from([metadata]);
        assert_eq!(
            words(&message, Trimming::Beyond(7)),
            r#"XADD t MAXLEN ~ 7 * data d metadata {"k":"v"}"#
        );
        message.metadata.clear();
        let cut = words(&message, Trimming::Before(8));
        assert_eq!(cut, "XADD t MINID ~ 8-1 * data d");
    }
}
