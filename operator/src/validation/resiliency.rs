//! Resiliencies, read by the sidecar's own decoder.

use std::collections::BTreeSet;

use serde_json::Value;
use trilby_component_catalogue::nearest;
use trilby_crds::{Resiliency, ResiliencySpec};
use trilby_resiliency::check;

use super::{
    Subject,
    component::suggestion,
    decode,
    facts::{Policies, Questions},
};

pub(super) fn ask(object: &Value, questions: &mut Questions) {
    let Some(resiliency) = decode::<Resiliency>(object) else {
        return;
    };
    let own = own(&resiliency.spec);
    questions.policies = references(&resiliency.spec)
        .iter()
        .any(|reference| !reference.defined_by(&own));
}

fn own(spec: &ResiliencySpec) -> Policies {
    let mut own = Policies::default();
    own.learn(spec);
    own
}

pub(super) fn validate(subject: &mut Subject<'_>) {
    let Some(resiliency) = subject.decode::<Resiliency>() else {
        return;
    };
    let checked = check(&resiliency.spec);
    for problem in checked.problems {
        subject.findings.error(problem.field, || problem.reason);
    }
    for remark in checked.remarks {
        subject.findings.error(remark.field, || remark.reason);
    }
    let own = own(&resiliency.spec);
    let Some(others) = &subject.facts.policies else {
        return;
    };
    for reference in references(&resiliency.spec) {
        if reference.defined_by(&own) || reference.defined_by(others) {
            continue;
        }
        let (path, name, noun) = (
            reference.path.clone(),
            reference.name,
            reference.part.noun(),
        );
        subject.findings.error(path, || {
            let known = reference
                .part
                .of(&own)
                .iter()
                .chain(reference.part.of(others));
            let nearest = suggestion(&nearest(name, known.map(String::as_str)));
            format!("names the {noun} {name:?}, which no Resiliency defines{nearest}")
        });
    }
}

/// A target's reference to a policy.
struct Reference<'a> {
    path: String,
    part: Part,
    name: &'a str,
}

#[derive(Clone, Copy)]
enum Part {
    Timeout,
    Retry,
    CircuitBreaker,
}

impl Part {
    fn noun(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Retry => "retry policy",
            Self::CircuitBreaker => "circuit breaker",
        }
    }

    fn member(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Retry => "retry",
            Self::CircuitBreaker => "circuitBreaker",
        }
    }

    fn of(self, policies: &Policies) -> &BTreeSet<String> {
        match self {
            Self::Timeout => &policies.timeouts,
            Self::Retry => &policies.retries,
            Self::CircuitBreaker => &policies.circuit_breakers,
        }
    }
}

impl Reference<'_> {
    fn defined_by(&self, policies: &Policies) -> bool {
        self.part.of(policies).contains(self.name)
    }
}

type Names<'a> = [(Part, &'a Option<String>); 3];

/// The names of policies that a target names. All targets have the same three.
macro_rules! names {
    ($target:expr) => {
        [
            (Part::Timeout, &$target.timeout),
            (Part::Retry, &$target.retry),
            (Part::CircuitBreaker, &$target.circuit_breaker),
        ]
    };
}

fn references(spec: &ResiliencySpec) -> Vec<Reference<'_>> {
    let targets = &spec.targets;
    let apps = targets.apps.iter();
    let apps = apps.map(|(name, target)| (format!("spec.targets.apps.{name}"), names!(target)));
    let actors = targets.actors.iter();
    let actors =
        actors.map(|(name, target)| (format!("spec.targets.actors.{name}"), names!(target)));
    let components = targets.components.iter().flat_map(|(name, target)| {
        let path = format!("spec.targets.components.{name}");
        [
            (format!("{path}.inbound"), names!(target.inbound)),
            (format!("{path}.outbound"), names!(target.outbound)),
        ]
    });
    let all: Vec<(String, Names<'_>)> = apps.chain(actors).chain(components).collect();
    let mut references = Vec::new();
    for (path, names) in all {
        for (part, name) in names {
            if let Some(name) = name {
                let path = format!("{path}.{}", part.member());
                references.push(Reference { path, part, name });
            }
        }
    }
    references
}
