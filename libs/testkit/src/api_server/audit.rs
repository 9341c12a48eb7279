//! What was asked of the API server, by its own audit log.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use serde_json::Value;

const POLICY: &str = "audit-policy.json";
pub(super) const LOG: &str = "audit.log";

/// Whose requests are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audit {
    Off,
    /// All requests of all service accounts, without bodies.
    ServiceAccounts,
}

impl Audit {
    /// The API server's flags, with the file that they name.
    pub(super) fn arguments(self, dir: &Path) -> io::Result<Vec<String>> {
        if self == Self::Off {
            return Ok(Vec::new());
        }
        let policy = dir.join(POLICY);
        let rules = serde_json::json!({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}],
        });
        std::fs::write(&policy, rules.to_string())?;
        Ok(vec![
            format!("--audit-policy-file={}", policy.display()),
            format!("--audit-log-path={}", dir.join(LOG).display()),
        ])
    }
}

/// One request.
pub(super) struct Request {
    /// Verb and resource: `patch components/status`.
    pub(super) what: String,
    /// The HTTP status of the answer.
    pub(super) status: u64,
}

/// The requests of a user. One that lasts, such as a watch, is told of when it begins and when it ends, and counts
/// once.
pub(super) fn requests(log: &Path, user: &str) -> Vec<Request> {
    let mut seen = HashSet::new();
    let events = events(log).into_iter();
    let own = events.filter(|event: &Value| event["user"]["username"] == user);
    own.filter(|event| seen.insert(event["auditID"].to_string()))
        .map(|event| request(&event))
        .collect()
}

fn request(event: &Value) -> Request {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &event["objectRef"];
    let what = match (text(&object["resource"]), text(&object["subresource"])) {
        (path, _) if path.is_empty() => text(&event["requestURI"]),
        (resource, none) if none.is_empty() => resource,
        (resource, part) => format!("{resource}/{part}"),
    };
    Request {
        what: format!("{} {what}", text(&event["verb"])),
        status: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
    }
}

/// The annotations of this name.
pub(super) fn annotations(log: &Path, name: &str) -> Vec<String> {
    let events = events(log).into_iter();
    let texts = events.map(|event| event["annotations"][name].as_str().map(str::to_owned));
    texts.flatten().collect()
}

fn events(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log)
        .unwrap_or_else(|error| panic!("{} (start_audited makes it): {error}", log.display()));
    let lines = text.lines();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}
