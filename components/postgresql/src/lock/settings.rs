//! The metadata of `lock.postgresql` beyond its connection.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::metadata::{MetadataError, Schema, value::Seconds};

use crate::state::{LEAST_TIMEOUT, TIMEOUT, check_name};

/// Metadata of the lock store.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// Limit of one request, at least a second.
    #[schemars(extend("default" = "20s"))]
    timeout: Option<Seconds>,
    /// The table of locks; a schema may stand before it, with a dot. It is made unless it is there.
    #[schemars(extend("default" = "dapr_lock"))]
    table_name: Option<String>,
}

impl Schema for Settings {
    const ALIASES: &'static [(&'static str, &'static str)] = &[("timeoutInSeconds", "timeout")];
}

impl Settings {
    /// Limit of one request.
    ///
    /// # Errors
    /// It is too short.
    pub(super) fn timeout(&self) -> Result<Duration, MetadataError> {
        match self.timeout {
            None => Ok(TIMEOUT),
            Some(Seconds(limit)) if limit >= LEAST_TIMEOUT => Ok(limit),
            Some(_) => Err(MetadataError::invalid("timeout", "it must be at least 1s")),
        }
    }

    /// The table of locks.
    ///
    /// # Errors
    /// Its name is none.
    pub(super) fn table_name(&self) -> Result<&str, MetadataError> {
        let name = self.table_name.as_deref().unwrap_or("dapr_lock");
        check_name("tableName", name)?;
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use trilby_components::metadata::Metadata;

    use super::Settings;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let metadata = Metadata::new(pairs.iter().copied()).unwrap();
        metadata.decode().unwrap()
    }

    #[test]
    fn there_are_defaults_and_limits() {
        let none = settings(&[]);
        assert_eq!(none.timeout(), Ok(Duration::from_secs(20)));
        assert_eq!(none.table_name(), Ok("dapr_lock"));
        let some = settings(&[("timeoutInSeconds", "5"), ("tableName", "own.locks")]);
        assert_eq!(some.timeout(), Ok(Duration::from_secs(5)));
        assert_eq!(some.table_name(), Ok("own.locks"));
        let bad = settings(&[("timeout", "10ms"), ("tableName", "locks; DROP TABLE x")]);
        assert!(bad.timeout().is_err() && bad.table_name().is_err());
    }
}
