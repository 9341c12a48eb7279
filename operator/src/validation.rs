//! What is wrong with a resource, said when it is applied.
//!
//! ```text
//! kubectl apply ─▶ API server ─▶ POST /validate ─▶ questions (pure) ─▶ facts: Secrets, Components, on demand
//!               ◀─ warnings ◀───────────────────── findings (pure) ◀──┘
//! ```
//!
//! Nothing is refused that upstream accepts, unless the user wants it ([`Strictness::Strict`]). What could not be found out in
//! time is no finding: a review never waits long, and never fails because something else is away. No text repeats the
//! value of a setting that may be a secret.
//!
//! Absent on purpose: what the API server checks by itself (unknown fields, types, the rules of the definitions).

mod component;
mod configuration;
mod endpoint;
mod facts;
mod finding;
mod lookup;
mod mcp;
mod pairs;
mod registration;
mod resiliency;
mod review;
mod subscription;
mod webhook;

use std::sync::LazyLock;

use serde::de::DeserializeOwned;
use serde_json::Value;
use trilby_component_catalogue::Catalogue;

pub use facts::{ActorStore, Facts};
pub use finding::{Finding, Severity};
pub(crate) use registration::Registration;
pub use review::answer_without_facts;
pub(crate) use webhook::{Webhook, routes};

use crate::resource::Kind;
use facts::Questions;
use finding::Findings;

/// What becomes of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// They are warnings.
    Warn,
    /// A resource that sidecars would refuse, or take for something else than it says, is refused.
    Strict,
}

/// What component types there are. Read when it is first needed.
static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::embedded);

/// An object of one kind, as its namespace sees it.
struct Subject<'a> {
    object: &'a Value,
    facts: &'a Facts,
    findings: Findings,
}

/// What has to be found out before an object can be judged.
fn questions(kind: Kind, object: &Value) -> Questions {
    let mut questions = Questions::default();
    match kind {
        Kind::Component => component::ask(object, &mut questions),
        Kind::Configuration => configuration::ask(object, &mut questions),
        Kind::HttpEndpoint => endpoint::ask(object, &mut questions),
        Kind::McpServer => mcp::ask(object, &mut questions),
        Kind::Resiliency => resiliency::ask(object, &mut questions),
        Kind::Subscription => subscription::ask(object, &mut questions),
        Kind::WorkflowAccessPolicy => {}
    }
    questions
}

/// What is to be said about an object.
fn validate(kind: Kind, object: &Value, facts: &Facts) -> Findings {
    let mut subject = Subject {
        object,
        facts,
        findings: Findings::default(),
    };
    match kind {
        Kind::Component => component::validate(&mut subject),
        Kind::Configuration => configuration::validate(&mut subject),
        Kind::HttpEndpoint => endpoint::validate(&mut subject),
        Kind::McpServer => mcp::validate(&mut subject),
        Kind::Resiliency => resiliency::validate(&mut subject),
        Kind::Subscription => subscription::validate(&mut subject),
        // Whatever could be wrong with it, the rules of its definition refuse.
        Kind::WorkflowAccessPolicy => {}
    }
    subject.findings
}

/// What is to be said about an object of the kind `kind`, without [`Facts`] where none are known. `None`: there is no
/// such kind.
#[must_use]
pub fn findings(kind: &str, object: &Value, facts: &Facts) -> Option<Vec<Finding>> {
    let kind = Kind::ALL.into_iter().find(|known| known.name() == kind)?;
    Some(validate(kind, object, facts).into_list())
}

/// The object as one of its type; `None` if it is none, which the API server refuses where the definition is ours.
fn decode<T: DeserializeOwned>(object: &Value) -> Option<T> {
    serde::Deserialize::deserialize(object).ok()
}

impl Subject<'_> {
    /// The object as one of its type. What is none is a finding.
    fn decode<T: DeserializeOwned>(&mut self) -> Option<T> {
        let decoded = decode(self.object);
        if decoded.is_none() {
            // Without the decoder's reason: it repeats values.
            self.findings.error("spec", || {
                "does not have the form of its kind: sidecars will not be told of it".to_owned()
            });
        }
        decoded
    }
}

#[cfg(test)]
mod tests;
