//! `AdmissionReview` on the wire: only what the injector reads, and exactly what it answers.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, value::RawValue};

use crate::injection::Operation;

/// A review as the API server sends it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Review {
    /// `admission.k8s.io/v1` or `v1beta1`; the answer echoes it.
    #[serde(default)]
    pub(crate) api_version: String,
    /// `AdmissionReview`; the answer echoes it.
    #[serde(default)]
    pub(crate) kind: String,
    pub(crate) request: Option<Request>,
}

/// What is to be admitted, and who asks.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(crate) struct Request {
    pub(crate) uid: String,
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) user_info: UserInfo,
    /// Whether nothing may be changed but the answer.
    #[serde(deserialize_with = "null_is_false")]
    pub(crate) dry_run: bool,
    pub(crate) object: Option<Box<RawValue>>,
}

/// Kind of the object.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Kind {
    pub(crate) kind: String,
}

/// Who asks.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct UserInfo {
    pub(crate) username: String,
    pub(crate) groups: Vec<String>,
}

/// The review that goes back.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    #[serde(skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    api_version: String,
    response: Response,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    uid: String,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: BTreeMap<&'static str, String>,
}

/// What is said beside the verdict.
#[derive(Debug, Default)]
pub(crate) struct Remarks {
    /// To the requester, a line each.
    pub(crate) warnings: Vec<String>,
    /// To whoever reads the audit log: key and text.
    pub(crate) audit: Option<(&'static str, String)>,
}

#[derive(Debug, Serialize)]
struct Status {
    metadata: Value,
    message: String,
}

/// What is decided about a request.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// As it is.
    Allow,
    /// With these changes; none is as it is.
    Patch(Vec<Operation>),
    /// Not at all, for this reason.
    Deny(String),
}

/// Characters of a warning that the API server hands on; it cuts what is longer.
const WARNING_LIMIT: usize = 256;
/// Bytes of all warnings together that it hands on.
const WARNINGS_LIMIT: usize = 4096;
/// Bytes of an audit annotation: as much as of all warnings.
const AUDIT_LIMIT: usize = WARNINGS_LIMIT;

impl Answer {
    /// The answer to `review`.
    ///
    /// # Errors
    /// If the operations cannot be written as JSON.
    pub(crate) fn new(
        review: &Review,
        verdict: Verdict,
        remarks: Remarks,
    ) -> Result<Self, serde_json::Error> {
        let uid = review.request.as_ref().map(|request| request.uid.clone());
        let response = Response {
            uid: uid.unwrap_or_default(),
            warnings: told(remarks.warnings),
            audit_annotations: remarks.audit.into_iter().map(shortened_audit).collect(),
            ..Response::from_verdict(verdict)?
        };
        Ok(Self {
            kind: review.kind.clone(),
            api_version: review.api_version.clone(),
            response,
        })
    }

    /// The answer to something that is no review.
    pub(crate) fn undecodable(reason: String) -> Self {
        Self {
            kind: String::new(),
            api_version: String::new(),
            response: Response::denial(reason),
        }
    }
}

impl Response {
    fn from_verdict(verdict: Verdict) -> Result<Self, serde_json::Error> {
        let allowed = Self {
            allowed: true,
            ..Self::default()
        };
        Ok(match verdict {
            Verdict::Deny(reason) => Self::denial(reason),
            Verdict::Patch(operations) if !operations.is_empty() => Self {
                patch: Some(STANDARD.encode(serde_json::to_vec(&operations)?)),
                patch_type: Some("JSONPatch"),
                ..allowed
            },
            Verdict::Allow | Verdict::Patch(_) => allowed,
        })
    }

    fn denial(message: String) -> Self {
        Self {
            status: Some(Status {
                metadata: Value::Object(serde_json::Map::new()),
                message,
            }),
            ..Self::default()
        }
    }
}

/// As many as the API server hands on; the last says that there are more.
fn told(warnings: Vec<String>) -> Vec<String> {
    const MORE: &str = "dapr: there are more warnings, in the log of the injector";
    let mut told: Vec<String> = Vec::new();
    let mut room = WARNINGS_LIMIT - MORE.len();
    for warning in warnings.into_iter().map(shortened) {
        if warning.len() > room {
            told.push(MORE.to_owned());
            break;
        }
        room -= warning.len();
        told.push(warning);
    }
    told
}

fn shortened_audit((key, mut text): (&'static str, String)) -> (&'static str, String) {
    text.truncate(text.floor_char_boundary(AUDIT_LIMIT));
    (key, text)
}

fn null_is_false<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    Option::<bool>::deserialize(value).map(Option::unwrap_or_default)
}

fn shortened(warning: String) -> String {
    // A line each: the API server drops warnings with control characters.
    let line = warning.replace(char::is_control, " ");
    match line.char_indices().nth(WARNING_LIMIT - 1) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
