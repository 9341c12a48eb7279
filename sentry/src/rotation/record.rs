//! `rotation.json`: how a rotation stands. No secrets.

use serde::{Deserialize, Serialize};

/// Where a rotation is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// There is none.
    #[default]
    Stable,
    /// The next authority is made and proved; nobody has seen it.
    Prepared,
    /// Both roots are trusted; the old issuer signs.
    Distributed,
    /// Both roots are trusted; the new issuer signs.
    Active,
    /// The new root is trusted alone. The bridge is kept for those who know only the old one.
    Retired,
}

/// The certificate that leads from the old root to the new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Bridge {
    /// SHA-256 of its DER, hexadecimal.
    pub(crate) fingerprint: String,
    /// When it ends, in seconds since 1970.
    pub(crate) not_after: u64,
}

/// See the module. Times are seconds since 1970, roots are SHA-256 of their DER in hexadecimal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    pub(crate) phase: Phase,
    /// When the phase began.
    #[serde(default)]
    pub(crate) since: u64,
    /// Why the rotation began; after an end that was not planned, why it ended.
    #[serde(default)]
    pub(crate) reason: String,
    /// The order by hand that was followed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trigger: Option<String>,
    /// The source that made the authority in use, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
    /// The source that made the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next_source: Option<String>,
    /// The roots that are to go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) old_roots: Vec<String>,
    /// The roots that come; issuers chain to the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) new_roots: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bridge: Option<Bridge>,
    /// Why there is no bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) no_bridge: Option<String>,
    /// When the last leaf of the old issuer ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) leaves_end: Option<u64>,
    /// For how long leaves are given, in seconds; see [`super::lives`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) leaf_life: Option<u64>,
    /// When the last leaf ends that was given for longer than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) longer_leaves_end: Option<u64>,
}

/// Why a record says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rotation.json cannot be read, no step is made until it can or is removed: {0}")]
pub(crate) struct RecordError(String);

// === impl Phase ===

impl Phase {
    pub(crate) const ALL: [Self; 5] = [
        Self::Stable,
        Self::Prepared,
        Self::Distributed,
        Self::Active,
        Self::Retired,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Prepared => "prepared",
            Self::Distributed => "distributed",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }

    /// Whether a rotation can begin.
    pub(crate) fn is_rest(self) -> bool {
        matches!(self, Self::Stable | Self::Retired)
    }
}

// === impl Record ===

impl Record {
    /// Reads what is stored; nothing stored says that nothing happened yet.
    pub(crate) fn read(stored: Option<&[u8]>) -> Result<Self, RecordError> {
        let Some(stored) = stored else {
            return Ok(Self::default());
        };
        serde_json::from_slice(stored).map_err(|error| RecordError(error.to_string()))
    }

    /// As it is stored.
    pub(crate) fn write(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("strings and numbers can be written as JSON")
    }

    /// The root that workloads have to trust before the new issuer may sign.
    pub(crate) fn target(&self) -> Option<&str> {
        self.new_roots.first().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nonsense_is_an_error() {
        let record = Record {
            phase: Phase::Active,
            since: 7,
            bridge: Some(Bridge {
                fingerprint: "ab".to_owned(),
                not_after: 9,
            }),
            ..Record::default()
        };
        assert_eq!(Record::read(Some(&record.write())), Ok(record));
        assert_eq!(Record::read(None), Ok(Record::default()));
        assert_eq!(
            Record::read(Some(br#"{"phase":"stable"}"#)),
            Ok(Record::default())
        );
        for nonsense in [
            "",
            "{",
            "{}",
            "[]",
            r#"{"phase":"elsewhere"}"#,
            r#"{"phase":"stable","since":-1}"#,
        ] {
            let error = Record::read(Some(nonsense.as_bytes())).unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with("rotation.json cannot be read"),
                "{nonsense}"
            );
        }
    }
}
