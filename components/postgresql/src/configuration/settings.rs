//! The metadata of `configuration.postgresql` beyond its connection, with upstream's names and defaults.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::metadata::{MetadataError, Schema, value::Seconds};

use super::table::Table;
use crate::state::request_limit;

/// The longest name of a table or a channel, in bytes. Upstream's number.
const LONGEST: usize = 64;
/// The older name of `notifyChannel`, and that of requests.
pub(super) const NOTIFY_CHANNEL: &str = "pgNotifyChannel";

/// Metadata of the configuration store.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// Limit of one request, at least a second.
    #[schemars(extend("default" = "20s"))]
    timeout: Option<Seconds>,
    /// The table; a schema may stand before it, with a dot. It has to be there.
    table: String,
    /// The channel that changes are notified on. Without one, each subscription has to name it (`pgNotifyChannel` in the
    /// metadata of the request).
    notify_channel: Option<String>,
    /// An older spelling of `connectionMaxIdleTime`, which counts if both are given.
    conn_max_idle_time: Option<Seconds>,
}

impl Schema for Settings {
    const ALIASES: &'static [(&'static str, &'static str)] = &[
        ("timeoutInSeconds", "timeout"),
        (NOTIFY_CHANNEL, "notifyChannel"),
    ];
}

impl Settings {
    /// Limit of one request.
    ///
    /// # Errors
    /// It is too short.
    pub(super) fn timeout(&self) -> Result<Duration, MetadataError> {
        request_limit(self.timeout)
    }

    /// The table.
    ///
    /// # Errors
    /// Its name is none.
    pub(super) fn table(&self) -> Result<Table, MetadataError> {
        let quoted = quoted(&self.table).map_err(|why| MetadataError::invalid("table", why))?;
        Ok(Table::new(self.table.clone(), quoted))
    }

    /// The channel, if it is said.
    ///
    /// # Errors
    /// Its name is none.
    pub(super) fn channel(&self) -> Result<Option<Channel>, MetadataError> {
        let channel = self.notify_channel.as_deref().map(Channel::new);
        channel
            .transpose()
            .map_err(|why| MetadataError::invalid("notifyChannel", why))
    }

    /// How long idle connections are kept, in the older spelling.
    pub(super) fn idle(&self) -> Option<Duration> {
        let Seconds(idle) = self.conn_max_idle_time?;
        (!idle.is_zero()).then_some(idle)
    }
}

/// The name of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Channel(String);

impl Channel {
    /// # Errors
    /// It is too long, or has other characters than upstream takes.
    pub(super) fn new(name: &str) -> Result<Self, String> {
        check("notifyChannel", name)?;
        Ok(Self(name.to_owned()))
    }

    /// As a statement names it.
    pub(super) fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A table as a statement names it.
fn quoted(name: &str) -> Result<String, String> {
    check("table", name)?;
    let parts: Vec<&str> = name.split('.').collect();
    if parts.iter().any(|part| part.is_empty()) || parts.len() > 2 {
        return Err(format!(
            "{name:?} is no name of a table, with or without a schema"
        ));
    }
    Ok(format!("\"{}\"", parts.join("\".\"")))
}

/// The name becomes part of statements, in quotation marks.
fn check(what: &str, name: &str) -> Result<(), String> {
    if name.len() > LONGEST {
        return Err(format!(
            "{what} name is too long - {name:?}. max allowed length is {LONGEST}"
        ));
    }
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"./_".contains(&byte);
    match name.bytes().all(allowed) {
        true => Ok(()),
        false => Err(format!(
            "invalid {what} name {name:?}. non-alphanumerics or upper cased names are not supported"
        )),
    }
}

#[cfg(test)]
mod tests {
    use trilby_components::metadata::{Metadata, MetadataError};

    use super::{Channel, Settings, quoted};

    fn settings(pairs: &[(&str, &str)]) -> Result<Settings, MetadataError> {
        Metadata::new(pairs.iter().copied())?.decode()
    }

    #[test]
    fn names_stand_in_statements_as_they_are() {
        assert_eq!(quoted("config").as_deref(), Ok("\"config\""));
        assert_eq!(
            quoted("app.my/config").as_deref(),
            Ok("\"app\".\"my/config\"")
        );
        let long = "x".repeat(65);
        for wrong in [
            "Config",
            "a b",
            "a;b",
            "a\"b",
            "a.b.c",
            ".a",
            "a.",
            long.as_str(),
        ] {
            assert!(quoted(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Channel::new("a.b").unwrap().quoted(), "\"a.b\"");
        assert!(Channel::new("a\"b").is_err());
    }

    #[test]
    fn aliases_and_defaults_are_upstreams() {
        let given = settings(&[
            ("table", "t"),
            (super::NOTIFY_CHANNEL, "c"),
            ("timeoutInSeconds", "5"),
        ]);
        let given = given.unwrap();
        assert_eq!(given.channel(), Ok(Some(Channel::new("c").unwrap())));
        assert_eq!(given.timeout().unwrap().as_secs(), 5);
        let least = settings(&[("table", "t"), ("connMaxIdleTime", "90")]).unwrap();
        assert_eq!(least.channel(), Ok(None));
        assert_eq!(least.timeout().unwrap().as_secs(), 20);
        assert_eq!(least.idle().unwrap().as_secs(), 90);
        let missing = settings(&[]).unwrap_err();
        assert_eq!(missing, MetadataError::Missing("table".to_owned()));
        assert!(settings(&[("table", "T")]).unwrap().table().is_err());
    }
}
