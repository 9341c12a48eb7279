//! Who may call which operation of this application (`spec.accessControl` of its Configuration).
//!
//! Pure: a policy set is compiled once and asked per call. It applies to calls that arrive from other
//! sidecars, never to an application that calls itself.

mod pattern;
#[cfg(test)]
mod properties;
mod review;

use std::borrow::Cow;
use std::collections::HashMap;

use trilby_identity::SpiffeId;

use pattern::Operations;

/// What a policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The call may pass.
    Allow,
    /// The call is refused.
    Deny,
}

impl Action {
    /// Anything but `allow` denies.
    fn parse(text: &str) -> Self {
        if text.eq_ignore_ascii_case("allow") {
            Self::Allow
        } else {
            Self::Deny
        }
    }
}

/// Which rule decided; a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The default of the whole set.
    Global,
    /// The policy of the calling application.
    App,
}

/// How the called application speaks, which decides what an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Paths, compared without case, with verbs.
    Http,
    /// Full method names.
    Grpc,
}

/// One call to judge.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// Who calls, from the peer certificate; absent without mTLS.
    pub caller: Option<&'a SpiffeId>,
    /// The normalised method.
    pub operation: &'a str,
    /// The HTTP verb, in capitals; absent over gRPC.
    pub verb: Option<&'a str>,
}

/// The answer to an [`Attempt`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// May it pass?
    pub action: Action,
    /// Which rule said so.
    pub scope: Scope,
}

/// `spec.accessControl`, as it is written.
#[derive(Debug, Clone, Default)]
pub struct Spec {
    /// `allow` or `deny`; nothing is `allow`, an empty text is `deny`.
    pub default_action: Option<String>,
    /// One per calling application.
    pub policies: Vec<PolicySpec>,
}

/// One policy, as it is written.
#[derive(Debug, Clone, Default)]
pub struct PolicySpec {
    /// The calling application.
    pub app_id: String,
    /// Its namespace.
    pub namespace: String,
    /// Its trust domain.
    pub trust_domain: String,
    /// `allow`, `deny`, or nothing: the global default.
    pub default_action: String,
    /// Exceptions by operation.
    pub operations: Vec<OperationSpec>,
}

/// One operation of a policy, as it is written.
#[derive(Debug, Clone, Default)]
pub struct OperationSpec {
    /// A path with wildcards.
    pub name: String,
    /// The verbs it holds for; `*` for every verb.
    pub verbs: Vec<String>,
    /// `allow` or `deny`.
    pub action: String,
}

/// A specification that cannot be enforced.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "invalid access control spec. missing trustdomain for apps: [{}], missing namespace for apps: [{}], \
     missing app name on at least one of the app policies: {missing_app_name}",
    .missing_trust_domain.join(" "), .missing_namespace.join(" ")
)]
pub struct InvalidSpec {
    missing_trust_domain: Vec<String>,
    missing_namespace: Vec<String>,
    missing_app_name: bool,
}

/// A compiled policy set.
#[derive(Debug)]
pub struct AccessControl {
    protocol: Protocol,
    default: Action,
    /// By the caller's app id.
    policies: HashMap<Box<str>, Vec<Policy>>,
}

#[derive(Debug)]
struct Policy {
    namespace: String,
    trust_domain: String,
    default: Option<Action>,
    operations: Operations,
}

impl AccessControl {
    /// Compiles a specification for an application that speaks `protocol`.
    ///
    /// # Errors
    /// Every policy needs an application, a trust domain and a namespace.
    pub fn compile(spec: &Spec, protocol: Protocol) -> Result<Self, InvalidSpec> {
        validate(&spec.policies)?;
        review::review(spec, protocol);
        let mut policies: HashMap<Box<str>, Vec<Policy>> = HashMap::new();
        for policy in &spec.policies {
            let of_app = policies.entry(policy.app_id.as_str().into()).or_default();
            // Of two policies for one caller the last counts.
            of_app.retain(|known| known.namespace != policy.namespace);
            of_app.push(Policy::compile(policy, protocol));
        }
        Ok(Self {
            protocol,
            default: spec.default_action(),
            policies,
        })
    }

    /// Judges a call.
    pub fn decide(&self, attempt: &Attempt<'_>) -> Decision {
        let global = Decision {
            action: self.default,
            scope: Scope::Global,
        };
        let Some(policy) = attempt.caller.and_then(|caller| self.policy_of(caller)) else {
            return global;
        };
        let fallback = match policy.default {
            Some(action) => Decision {
                action,
                scope: Scope::App,
            },
            None => global,
        };
        let action = match self.protocol {
            Protocol::Http => policy.http_action(attempt, fallback.action),
            Protocol::Grpc => policy
                .operations
                .find(attempt.operation)
                .map(|rule| rule.action),
        };
        Decision {
            action: action.unwrap_or(fallback.action),
            ..fallback
        }
    }

    fn policy_of(&self, caller: &SpiffeId) -> Option<&Policy> {
        self.policies
            .get(caller.app_id())?
            .iter()
            .find(|policy| policy.namespace == caller.namespace())
            .filter(|policy| policy.trust_domain == caller.trust_domain())
    }
}

impl Policy {
    fn compile(spec: &PolicySpec, protocol: Protocol) -> Self {
        let default =
            (!spec.default_action.is_empty()).then(|| Action::parse(&spec.default_action));
        let operations = Operations::compile(&spec.operations, protocol);
        Self {
            namespace: spec.namespace.clone(),
            trust_domain: spec.trust_domain.clone(),
            default,
            operations,
        }
    }

    fn http_action(&self, attempt: &Attempt<'_>, fallback: Action) -> Option<Action> {
        let rule = self.operations.find(&fold(attempt.operation))?;
        let Some(verb) = attempt.verb else {
            return Some(self.default.unwrap_or(Action::Deny));
        };
        Some(rule.for_verb(verb).unwrap_or(fallback))
    }
}

impl Spec {
    /// What holds where no policy says anything. Upstream reads a Configuration over defaults of its own, in which
    /// everything is allowed; only an empty text takes that away.
    fn default_action(&self) -> Action {
        self.default_action
            .as_deref()
            .map_or(Action::Allow, Action::parse)
    }
}

/// The text without case. Letter by letter, as upstream does it: a rule for whole words (such as the one for the
/// Greek sigma) would make the case of a letter depend on what a pattern has after it.
fn fold(text: &str) -> Cow<'_, str> {
    let lower = |letter: char| letter.to_lowercase().next().unwrap_or(letter);
    if text.chars().all(|letter| lower(letter) == letter) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(lower).collect())
}

fn validate(policies: &[PolicySpec]) -> Result<(), InvalidSpec> {
    let without = |field: fn(&PolicySpec) -> &String| -> Vec<String> {
        policies
            .iter()
            .filter(|policy| field(policy).is_empty())
            .map(|policy| policy.app_id.clone())
            .collect()
    };
    let invalid = InvalidSpec {
        missing_trust_domain: without(|policy| &policy.trust_domain),
        missing_namespace: without(|policy| &policy.namespace),
        missing_app_name: policies.iter().any(|policy| policy.app_id.is_empty()),
    };
    let complete = invalid.missing_trust_domain.is_empty() && invalid.missing_namespace.is_empty();
    if complete && !invalid.missing_app_name {
        Ok(())
    } else {
        Err(invalid)
    }
}

#[cfg(test)]
mod tests;
