//! From a Resiliency resource to a [`Definition`], or to everything that is wrong with it.

use std::fmt;
use std::sync::Arc;

use trilby_crds::{ActorTargetSpec, AppTargetSpec, CircuitBreakerSpec, ResiliencySpec, RetrySpec};

use crate::codes::{Codes, GRPC, HTTP};
use crate::definition::{ActorScope, ActorTarget, AppTarget, ComponentTarget, Definition, Names};
use crate::duration;
use crate::machine::{DEFAULT_TIMEOUT, Settings};
use crate::policies::Builtin;
use crate::retry::{Exponential, Retry, Schedule};
use crate::trip::Trip;

/// The pause of a constant retry policy that names none.
const DEFAULT_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);
/// Breakers kept per app, one a method.
pub(crate) const APP_BREAKERS: usize = 100;
/// Breakers kept per actor type.
pub(crate) const ACTOR_BREAKERS: usize = 5000;
/// The fewest retries that a built-in policy may be given.
const FEWEST_BUILTIN_RETRIES: u32 = 3;

/// A resource that cannot be used, with each of its mistakes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Resiliency {resource:?} is not valid: {}", list(.problems))]
pub struct InvalidResource {
    /// Its name.
    pub resource: String,
    /// What is wrong, in the order of the fields.
    pub problems: Vec<Problem>,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field, as a path into the resource.
    pub field: String,
    /// What is wrong with which value.
    pub reason: String,
}

/// A resource that can be used.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) definition: Definition,
    /// What is accepted and yet does not do what it says.
    pub(crate) remarks: Vec<Problem>,
}

/// What is to be said about a resource before it is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Why it would be refused.
    pub problems: Vec<Problem>,
    /// What would be accepted and yet not do what it says.
    pub remarks: Vec<Problem>,
}

/// Reads a resource without using it.
#[must_use]
pub fn check(spec: &ResiliencySpec) -> Checked {
    let mut decoder = Decoder::default();
    decoder.definition(spec);
    Checked {
        problems: decoder.problems,
        remarks: decoder.remarks,
    }
}

/// Reads a resource.
pub(crate) fn decode(resource: &str, spec: &ResiliencySpec) -> Result<Decoded, InvalidResource> {
    let mut decoder = Decoder::default();
    let definition = decoder.definition(spec);
    if decoder.problems.is_empty() {
        return Ok(Decoded {
            definition,
            remarks: decoder.remarks,
        });
    }
    Err(InvalidResource {
        resource: resource.to_owned(),
        problems: decoder.problems,
    })
}

#[derive(Default)]
struct Decoder {
    problems: Vec<Problem>,
    remarks: Vec<Problem>,
}

impl Decoder {
    fn definition(&mut self, spec: &ResiliencySpec) -> Definition {
        let mut definition = Definition::default();
        for (name, text) in &spec.policies.timeouts {
            let timeout = self.duration(&format!("policies.timeouts.{name}"), Some(text));
            definition
                .timeouts
                .insert(name.clone(), timeout.unwrap_or_default());
        }
        for (name, retry) in &spec.policies.retries {
            if let Some(retry) = self.retry(name, retry) {
                definition.retries.insert(name.clone(), Arc::new(retry));
            }
        }
        for (name, breaker) in &spec.policies.circuit_breakers {
            let settings = self.breaker(name, breaker);
            definition.breakers.insert(name.clone(), Arc::new(settings));
        }
        for (name, target) in &spec.targets.apps {
            definition.apps.insert(name.clone(), self.app(name, target));
        }
        for (name, target) in &spec.targets.actors {
            definition
                .actors
                .insert(name.clone(), self.actor(name, target));
        }
        for (name, target) in &spec.targets.components {
            let names = |names: &trilby_crds::PolicyNamesSpec| {
                names_of(&names.timeout, &names.retry, &names.circuit_breaker)
            };
            let target = ComponentTarget {
                inbound: names(&target.inbound),
                outbound: names(&target.outbound),
            };
            definition.components.insert(name.clone(), target);
        }
        definition
    }

    /// `None` when the policy is one that cannot be replaced.
    fn retry(&mut self, name: &str, spec: &RetrySpec) -> Option<Retry> {
        let field = format!("policies.retries.{name}");
        let schedule = self.schedule(&field, spec);
        let matching = spec.matching.clone().unwrap_or_default();
        let http_codes = self.codes(
            &field,
            ("httpStatusCodes", &HTTP),
            matching.http_status_codes,
        );
        let grpc_codes = self.codes(
            &field,
            ("gRPCStatusCodes", &GRPC),
            matching.grpc_status_codes,
        );
        let asked = spec.max_retries.unwrap_or(-1);
        // More retries than the number holds are as good as no limit.
        let mut max_retries = u32::try_from(asked).ok();
        match Builtin::of_name(name) {
            Some(Builtin::ActorNotFoundRetries) => {
                self.remark(
                    &field,
                    "this policy cannot be replaced; the built-in one is used".to_owned(),
                );
                return None;
            }
            Some(_) if asked < i64::from(FEWEST_BUILTIN_RETRIES) => {
                let reason = format!(
                    "maxRetries {asked} of a built-in policy is not {FEWEST_BUILTIN_RETRIES} or more; \
                     {FEWEST_BUILTIN_RETRIES} is used"
                );
                self.remark(&field, reason);
                max_retries = Some(FEWEST_BUILTIN_RETRIES);
            }
            _ => {}
        }
        Some(Retry {
            schedule,
            max_retries,
            http_codes,
            grpc_codes,
        })
    }

    fn schedule(&mut self, field: &str, spec: &RetrySpec) -> Schedule {
        let pause = self.duration(&format!("{field}.duration"), spec.duration.as_deref());
        let cap = self.duration(
            &format!("{field}.maxInterval"),
            spec.max_interval.as_deref(),
        );
        let policy = spec.policy.as_deref().unwrap_or("constant");
        match policy.to_lowercase().as_str() {
            "exponential" => {
                let growth = Exponential::default();
                Schedule::Exponential(Exponential {
                    max_interval: cap.unwrap_or(growth.max_interval),
                    ..growth
                })
            }
            other => {
                if other != "constant" {
                    let reason = format!("{policy:?} is neither \"constant\" nor \"exponential\"");
                    self.problem(&format!("{field}.policy"), reason);
                }
                Schedule::Constant(pause.unwrap_or(DEFAULT_PAUSE))
            }
        }
    }

    fn codes(
        &mut self,
        field: &str,
        (list, valid): (&str, &std::ops::RangeInclusive<i32>),
        text: Option<String>,
    ) -> Codes {
        let codes = Codes::parse(&text.unwrap_or_default(), valid);
        codes.unwrap_or_else(|error| {
            self.problem(&format!("{field}.matching.{list}"), error.to_string());
            Codes::default()
        })
    }

    fn breaker(&mut self, name: &str, spec: &CircuitBreakerSpec) -> Settings {
        let field = format!("policies.circuitBreakers.{name}");
        let interval = self.duration(&format!("{field}.interval"), spec.interval.as_deref());
        let timeout = self.duration(&format!("{field}.timeout"), spec.timeout.as_deref());
        let asked = spec.max_requests.unwrap_or(0);
        let max_requests = u32::try_from(asked).unwrap_or_else(|_| {
            let reason = format!("{asked} is not between 0 and {}", u32::MAX);
            self.problem(&format!("{field}.maxRequests"), reason);
            1
        });
        Settings {
            name: name.to_owned(),
            max_requests: max_requests.max(1),
            interval: interval.unwrap_or_default(),
            timeout: timeout
                .filter(|timeout| !timeout.is_zero())
                .unwrap_or(DEFAULT_TIMEOUT),
            trip: Arc::new(self.trip(&format!("{field}.trip"), spec.trip.as_deref())),
        }
    }

    fn trip(&mut self, field: &str, text: Option<&str>) -> Trip {
        let Some(text) = text else {
            return Trip::after_failures();
        };
        let trip = Trip::parse(text).unwrap_or_else(|error| {
            self.problem(field, format!("{text:?} is {error}"));
            Trip::after_failures()
        });
        if let Some(why) = trip.never_holds() {
            self.remark(
                field,
                format!("{text:?} never opens the circuit breaker: {why}"),
            );
        }
        trip
    }

    fn app(&mut self, name: &str, spec: &AppTargetSpec) -> AppTarget {
        let field = format!("targets.apps.{name}");
        AppTarget {
            names: names_of(&spec.timeout, &spec.retry, &spec.circuit_breaker),
            cache_size: self.cache_size(&field, spec.circuit_breaker_cache_size, APP_BREAKERS),
        }
    }

    fn actor(&mut self, name: &str, spec: &ActorTargetSpec) -> ActorTarget {
        let field = format!("targets.actors.{name}");
        let scope = match (spec.circuit_breaker_scope.as_deref(), &spec.circuit_breaker) {
            (_, None) | (Some("type"), _) => ActorScope::Type,
            (Some("id" | "both"), _) => ActorScope::Id,
            (scope, Some(breaker)) => {
                let reason = match scope {
                    None => format!("not set, although the circuit breaker {breaker:?} needs one"),
                    Some(scope) => format!("{scope:?} is none of \"type\", \"id\" and \"both\""),
                };
                self.problem(&format!("{field}.circuitBreakerScope"), reason);
                ActorScope::Type
            }
        };
        ActorTarget {
            names: names_of(&spec.timeout, &spec.retry, &spec.circuit_breaker),
            scope,
            cache_size: self.cache_size(&field, spec.circuit_breaker_cache_size, ACTOR_BREAKERS),
        }
    }

    fn cache_size(&mut self, field: &str, size: Option<i64>, default: usize) -> usize {
        match size.unwrap_or(0) {
            0 => default,
            size => usize::try_from(size).unwrap_or_else(|_| {
                let field = format!("{field}.circuitBreakerCacheSize");
                self.problem(&field, format!("{size} is not a positive number"));
                default
            }),
        }
    }

    fn duration(&mut self, field: &str, text: Option<&str>) -> Option<std::time::Duration> {
        match duration::parse(text?) {
            Ok(duration) => Some(duration),
            Err(error) => {
                self.problem(field, error.to_string());
                None
            }
        }
    }

    fn problem(&mut self, field: &str, reason: String) {
        self.problems.push(Problem {
            field: format!("spec.{field}"),
            reason,
        });
    }

    fn remark(&mut self, field: &str, reason: String) {
        self.remarks.push(Problem {
            field: format!("spec.{field}"),
            reason,
        });
    }
}

fn names_of(timeout: &Option<String>, retry: &Option<String>, breaker: &Option<String>) -> Names {
    let name = |name: &Option<String>| name.clone().unwrap_or_default();
    Names {
        timeout: name(timeout),
        retry: name(retry),
        breaker: name(breaker),
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

fn list(problems: &[Problem]) -> String {
    let texts: Vec<String> = problems.iter().map(Problem::to_string).collect();
    texts.join("; ")
}

#[cfg(test)]
mod tests;
