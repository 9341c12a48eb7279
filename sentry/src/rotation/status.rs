//! How authority and rotation fare, for people.

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::{Record, decision::Waiting};

/// The most names that are listed.
const LISTED: usize = 20;

/// What is published as YAML.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    pub(crate) phase: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) waiting_for: String,
    /// The first who are waited for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) workloads: Vec<String>,
    /// How many are waited for.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) workload_count: usize,
    /// Until when those are served who know only the old root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bridge_ends: Option<String>,
    /// Why those are not served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) no_bridge: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) issuer_ends: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) root_ends: Option<String>,
    pub(crate) conditions: Vec<Condition>,
}

/// Something that should be so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: ConditionKind,
    pub(crate) status: ConditionStatus,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) message: String,
}

/// What should be so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub(crate) enum ConditionKind {
    /// The stored authority is the one in use.
    AuthorityUsable,
    /// Neither root nor issuer ends within 30 days.
    AuthorityLasting,
    /// Steps of a rotation succeed, and its record can be read.
    RootRotation,
    /// The Configuration is the one in force.
    ConfigurationUsable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum ConditionStatus {
    True,
    False,
}

// `skip_serializing_if` hands out references.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Condition {
    /// As it should be if there is no message.
    pub(crate) fn new(kind: ConditionKind, message: impl Into<String>) -> Self {
        let message = message.into();
        let status = if message.is_empty() {
            ConditionStatus::True
        } else {
            ConditionStatus::False
        };
        Self {
            kind,
            status,
            message,
        }
    }
}

impl Status {
    /// What a record says, and what it waits for; the rest is for the caller to fill in.
    pub(crate) fn new(record: &Record, waiting: &Waiting) -> Self {
        let bridge = record.bridge.as_ref();
        Self {
            phase: record.phase.name(),
            since: (record.since > 0).then(|| date(record.since)),
            reason: record.reason.clone(),
            waiting_for: waiting.text.clone(),
            workloads: waiting.names.iter().take(LISTED).cloned().collect(),
            workload_count: waiting.names.len(),
            bridge_ends: bridge.map(|bridge| date(bridge.not_after)),
            no_bridge: record.no_bridge.clone(),
            issuer_ends: None,
            root_ends: None,
            conditions: Vec::new(),
        }
    }

    pub(crate) fn yaml(&self) -> String {
        serde_saphyr::to_string(self).expect("strings, numbers and lists can be written as YAML")
    }
}

/// RFC 3339 of seconds since 1970.
pub(crate) fn date(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).ok();
    seconds
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .unwrap_or(Timestamp::MAX)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rotation::{Phase, record::Bridge};

    #[test]
    fn the_status_is_yaml_that_people_read() {
        let record = Record {
            phase: Phase::Distributed,
            since: 1_700_000_000,
            reason: "asked for by hand: 1".to_owned(),
            bridge: Some(Bridge {
                fingerprint: "ab".to_owned(),
                not_after: 1_800_000_000,
            }),
            ..Record::default()
        };
        let waiting = Waiting {
            text: "workloads".to_owned(),
            names: (0..30).map(|number| format!("shop/pod-{number}")).collect(),
        };
        let mut status = Status::new(&record, &waiting);
        status.conditions = vec![
            Condition::new(ConditionKind::AuthorityUsable, ""),
            Condition::new(ConditionKind::RootRotation, "it is: broken"),
        ];
        let text = status.yaml();
        let read: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read["phase"], "distributed");
        assert_eq!(read["since"], "2023-11-14T22:13:20Z");
        assert_eq!(read["bridgeEnds"], "2027-01-15T08:00:00Z");
        assert_eq!(read["workloadCount"], 30);
        assert_eq!(read["workloads"].as_array().unwrap().len(), 20);
        assert_eq!(read["conditions"][0]["status"].to_string(), "\"True\"");
        assert_eq!(read["conditions"][1]["message"], "it is: broken");
        assert!(text.starts_with("phase: distributed\n"), "{text}");
    }
}
