//! Operations of a JSON Patch.

use serde::Serialize;
use serde_json::Value;

/// One operation. Injection only ever adds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Operation {
    op: &'static str,
    path: String,
    value: Value,
}

/// Puts `value` at `path`.
pub(super) fn add(path: impl Into<String>, value: Value) -> Operation {
    Operation {
        op: "add",
        path: path.into(),
        value,
    }
}

/// A key as a part of a path.
pub(super) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
