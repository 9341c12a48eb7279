//! `AdmissionReview` on the wire: only what is read, and what is answered.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use trilby_crds::GROUP;

use super::{Facts, Findings, Questions, Strictness, questions, validate};
use crate::resource::Kind;

/// Bytes of one warning that the API server hands on at least.
const WARNING: usize = 256;
/// Bytes of all warnings that the API server hands on.
const WARNINGS: usize = 4096;
/// Bytes of a line, and of all lines, of a refusal.
const REFUSAL: (usize, usize) = (1024, 16 << 10);

/// A review as the API server sends it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    request: Option<Request>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Request {
    uid: String,
    kind: GroupKind,
    namespace: String,
    object: Value,
    old_object: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct GroupKind {
    group: String,
    kind: String,
}

/// Why a body is no review that can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is no review.
    NoReview,
    /// It has nothing to be reviewed.
    NoRequest,
}

/// Something to be judged.
#[derive(Debug)]
pub(super) struct Case {
    api_version: String,
    review_kind: String,
    uid: String,
    /// The object's kind; `None`: nothing is to be said about it.
    pub(super) kind: Option<Kind>,
    /// The object's namespace.
    pub(super) namespace: String,
    object: Value,
}

/// How a review ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Clean,
    Warned,
    Refused,
}

/// The review that goes back.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    api_version: String,
    kind: String,
    response: Response,
}

#[derive(Debug, Serialize)]
struct Response {
    uid: String,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Status {
    code: u16,
    message: String,
    reason: &'static str,
}

impl Case {
    pub(super) fn read(body: &[u8]) -> Result<Self, Unreadable> {
        let review: Review = serde_json::from_slice(body).map_err(|_| Unreadable::NoReview)?;
        let request = review.request.ok_or(Unreadable::NoRequest)?;
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.name() == request.kind.kind);
        let concerns_us = request.kind.group == GROUP && !is_settled(&request);
        Ok(Self {
            api_version: review.api_version,
            review_kind: review.kind,
            uid: request.uid,
            kind: kind.filter(|_| concerns_us),
            namespace: request.namespace,
            object: request.object,
        })
    }

    pub(super) fn questions(&self) -> Questions {
        self.kind
            .map_or_else(Questions::default, |kind| questions(kind, &self.object))
    }

    pub(super) fn answer(self, strictness: Strictness, facts: &Facts) -> (Answer, Outcome) {
        let findings = self.kind.map_or_else(Findings::default, |kind| {
            validate(kind, &self.object, facts)
        });
        let refused = strictness == Strictness::Strict && findings.has_errors();
        let status = refused.then(|| Status {
            code: 422,
            message: findings.lines(REFUSAL.0, REFUSAL.1).join("\n"),
            reason: "Invalid",
        });
        let outcome = match (refused, findings.is_empty()) {
            (true, _) => Outcome::Refused,
            (false, true) => Outcome::Clean,
            (false, false) => Outcome::Warned,
        };
        let response = Response {
            uid: self.uid,
            allowed: !refused,
            status,
            warnings: match refused {
                true => Vec::new(),
                false => findings.lines(WARNING, WARNINGS),
            },
        };
        let answer = Answer {
            api_version: self.api_version,
            kind: self.review_kind,
            response,
        };
        (answer, outcome)
    }
}

/// Whether the object is on its way out, or says what it said before: whoever removes a finalizer or sets a label is
/// not to be told of, or kept from it by, what was wrong all along.
fn is_settled(request: &Request) -> bool {
    let same = |member: &str| request.object.get(member) == request.old_object.get(member);
    let unchanged =
        !request.old_object.is_null() && ["spec", "auth", "scopes"].into_iter().all(same);
    unchanged
        || request.object.is_null()
        || !request.object["metadata"]["deletionTimestamp"].is_null()
}

/// The answer to a review, from what the review itself says. `None`: it is none.
#[must_use]
pub fn answer_without_facts(body: &[u8], strictness: Strictness) -> Option<Vec<u8>> {
    let case = Case::read(body).ok()?;
    let (answer, _) = case.answer(strictness, &Facts::default());
    serde_json::to_vec(&answer).ok()
}
