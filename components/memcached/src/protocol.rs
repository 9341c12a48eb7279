//! Commands and answers of Memcached's text protocol.

use bytes::{BufMut as _, Bytes, BytesMut};
use trilby_components::state::{StateError, Ttl};

/// The longest key, in bytes.
const LONGEST_KEY: usize = 250;
/// From here on the protocol takes a number of seconds for a moment since 1970.
const LONGEST_RELATIVE_EXPIRY: u64 = 60 * 60 * 24 * 30;
/// The expiry of what never expires.
const NEVER: i32 = 0;

/// Whether the server can have this key: the protocol ends keys with a space or a line.
///
/// # Errors
/// [`StateError::InvalidRequest`] when it cannot.
pub(crate) fn check_key(key: &str) -> Result<(), StateError> {
    let reason = match key {
        "" => "is empty".to_owned(),
        key if key.len() > LONGEST_KEY => format!("is longer than {LONGEST_KEY} bytes"),
        key if key.bytes().any(|byte| byte <= b' ' || byte == 0x7f) => {
            "has a space or a control character".to_owned()
        }
        _ => return Ok(()),
    };
    Err(StateError::InvalidRequest(format!(
        "Memcached: key {key:?} {reason}, which no key in Memcached can"
    )))
}

/// How the server is told of an expiry, at `now` in seconds since 1970.
///
/// One beyond January 2038 cannot be told: what is to live that long is kept, as upstream does.
pub(crate) fn expiry(ttl: Option<Ttl>, now: i64) -> i32 {
    let Some(Ttl::After(life)) = ttl else {
        return NEVER;
    };
    let told = match life.as_secs() {
        life if life < LONGEST_RELATIVE_EXPIRY => i64::try_from(life).ok(),
        life => i64::try_from(life)
            .ok()
            .and_then(|life| now.checked_add(life)),
    };
    told.and_then(|told| i32::try_from(told).ok())
        .unwrap_or(NEVER)
}

/// What a server is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    /// Say which version it is.
    Version,
    /// Give the values of these keys, those that there are.
    Get(&'a [String]),
    /// Keep a value.
    Set {
        key: &'a str,
        value: &'a Bytes,
        expiry: i32,
    },
    /// Forget a key.
    Delete(&'a str),
}

impl Command<'_> {
    /// As it goes over the wire.
    pub(crate) fn encode(&self) -> BytesMut {
        let mut wire = BytesMut::new();
        match self {
            Self::Version => wire.put_slice(b"version"),
            Self::Get(keys) => {
                wire.put_slice(b"get");
                for key in *keys {
                    wire.put_u8(b' ');
                    wire.put_slice(key.as_bytes());
                }
            }
            Self::Set { key, value, expiry } => {
                let line = format!("set {key} 0 {expiry} {}\r\n", value.len());
                wire.reserve(line.len() + value.len() + 2);
                wire.put_slice(line.as_bytes());
                wire.put_slice(value);
            }
            Self::Delete(key) => {
                wire.put_slice(b"delete ");
                wire.put_slice(key.as_bytes());
            }
        }
        wire.put_slice(b"\r\n");
        wire
    }
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// The end of the values, or that what was asked is done.
    Done,
    /// A value of this many bytes follows.
    Value { key: String, length: usize },
    /// The server will not do it, since the request is wrong.
    Wrong(String),
    /// The server cannot do it.
    Failed(String),
}

impl Line {
    /// Reads a line without its end; `None` for what no server says.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match word {
            "END" | "STORED" | "DELETED" | "NOT_FOUND" | "VERSION" => Self::Done,
            "VALUE" => {
                // VALUE <key> <flags> <length>
                let mut fields = rest.split(' ');
                let (key, _flags) = (fields.next()?, fields.next()?);
                Self::Value {
                    key: key.to_owned(),
                    length: fields.next()?.parse().ok()?,
                }
            }
            "CLIENT_ERROR" => Self::Wrong(rest.to_owned()),
            "SERVER_ERROR" => Self::Failed(rest.to_owned()),
            "ERROR" => Self::Wrong("it does not know the command".to_owned()),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn after(seconds: u64) -> Option<Ttl> {
        Some(Ttl::After(Duration::from_secs(seconds)))
    }

    #[test]
    fn commands_are_those_of_the_protocol() {
        let value = Bytes::from_static(b"a\r\nb");
        for (command, wire) in [
            (Command::Version, "version\r\n"),
            (Command::Get(&["a".into(), "b".into()]), "get a b\r\n"),
            (Command::Delete("a"), "delete a\r\n"),
            (
                Command::Set {
                    key: "a",
                    value: &value,
                    expiry: 7,
                },
                "set a 0 7 4\r\na\r\nb\r\n",
            ),
        ] {
            assert_eq!(command.encode(), wire.as_bytes());
        }
    }

    #[test]
    fn answers_are_understood_or_not() {
        let value = Line::Value {
            key: "a||b".into(),
            length: 12,
        };
        for (line, meaning) in [
            ("END", Some(Line::Done)),
            ("STORED", Some(Line::Done)),
            ("NOT_FOUND", Some(Line::Done)),
            ("VERSION 1.6.18", Some(Line::Done)),
            ("VALUE a||b 0 12", Some(value.clone())),
            ("VALUE a||b 0 12 77", Some(value)),
            (
                "SERVER_ERROR out of memory",
                Some(Line::Failed("out of memory".into())),
            ),
            ("CLIENT_ERROR bad", Some(Line::Wrong("bad".into()))),
            ("VALUE a 0", None),
            ("VALUE a 0 -1", None),
            ("STOREDX", None),
            ("", None),
        ] {
            assert_eq!(Line::parse(line.as_bytes()), meaning, "{line}");
        }
        assert_eq!(Line::parse(b"END\xff"), None);
    }

    #[test]
    fn a_month_and_more_is_told_as_a_moment() {
        let now = 1_800_000_000;
        let month = 60 * 60 * 24 * 30;
        assert_eq!(expiry(None, now), 0);
        assert_eq!(expiry(Some(Ttl::Never), now), 0);
        assert_eq!(expiry(after(1), now), 1);
        assert_eq!(expiry(after(month - 1), now), 2_591_999);
        assert_eq!(expiry(after(month), now), 1_802_592_000);
        for endless in [i32::MAX as u64, u64::MAX] {
            assert_eq!(expiry(after(endless), now), 0, "it is kept");
        }
    }

    #[test]
    fn a_key_that_cannot_be_is_refused() {
        for key in ["a", "app||ß", "\u{80}", &"k".repeat(250)] {
            check_key(key).unwrap();
        }
        for key in ["", "a b", "a\nb", "\u{7f}", "a\0", &"k".repeat(251)] {
            let refused = check_key(key).unwrap_err();
            assert!(
                matches!(refused, StateError::InvalidRequest(_)),
                "{refused}"
            );
        }
    }
}
