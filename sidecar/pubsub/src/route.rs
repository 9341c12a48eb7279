//! Which path of the app an event goes to: rules in CEL, of which the first that holds counts.

use std::sync::{Arc, LazyLock};

use cel::{Context, Env, Program, Value};

use crate::Event;

mod depth;
mod reading;
mod values;

use reading::Reading;

/// The longest rule, in bytes.
const LONGEST: usize = 16 * 1024;
/// The most steps that evaluating a rule may take, as far as they can be counted before: a rule over lists of the event is
/// as long as its publisher likes. Measured: 1.5 µs each in a debug build.
const MOST_STEPS: u64 = 500_000;

/// The standard functions. Making them takes longer than most rules do.
static STANDARD: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// A rule is no expression that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule:?}: {reason}")]
pub struct InvalidRule {
    /// The rule.
    pub rule: String,
    /// Why it cannot be used.
    pub reason: String,
}

/// A rule does not say yes or no for this event. It never will.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule:?}: {reason}")]
pub struct EvaluationError {
    /// The rule.
    pub rule: String,
    /// Why it says neither.
    pub reason: String,
}

/// The rules of a subscription.
#[derive(Debug, Clone)]
pub struct Routes {
    rules: Arc<[Rule]>,
}

#[derive(Debug)]
struct Rule {
    path: String,
    /// `None` holds always.
    condition: Option<Condition>,
}

#[derive(Debug)]
struct Condition {
    text: String,
    program: Program,
    reading: Reading,
}

// === impl Routes ===

impl Routes {
    /// Rules as (condition, path), and the path where none holds. An empty condition holds always.
    ///
    /// # Errors
    /// See [`InvalidRule`].
    pub fn compile(rules: &[(&str, &str)], default: Option<&str>) -> Result<Self, InvalidRule> {
        let default = default.map(|path| ("", path));
        let rules = rules.iter().copied().chain(default);
        let rules = rules.map(|(condition, path)| {
            Ok(Rule {
                path: path.to_owned(),
                condition: condition_of(condition.trim())?,
            })
        });
        Ok(Self {
            rules: rules.collect::<Result<_, InvalidRule>>()?,
        })
    }

    /// The path of `event`; `None` if no rule holds and there is no default.
    ///
    /// # Errors
    /// A rule in front of the first that holds cannot be evaluated.
    pub fn choose(&self, event: &Event) -> Result<Option<&str>, EvaluationError> {
        for rule in &*self.rules {
            let holds = match &rule.condition {
                None => true,
                Some(condition) => condition.holds(event)?,
            };
            if holds {
                return Ok(Some(&rule.path));
            }
        }
        Ok(None)
    }

    /// The paths of the rules and the default, in their order.
    #[must_use]
    pub fn paths(&self) -> Vec<&str> {
        self.rules.iter().map(|rule| rule.path.as_str()).collect()
    }

    /// The rules as (condition, path), in their order; the condition of one that holds always is empty.
    pub fn rules(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rules.iter().map(|rule| {
            let condition = rule.condition.as_ref();
            (
                condition.map_or("", |condition| &condition.text),
                rule.path.as_str(),
            )
        })
    }
}

fn condition_of(text: &str) -> Result<Option<Condition>, InvalidRule> {
    if text.is_empty() {
        return Ok(None);
    }
    let invalid = |reason: String| InvalidRule {
        rule: text.to_owned(),
        reason,
    };
    if text.len() > LONGEST {
        return Err(invalid(format!("longer than {LONGEST} bytes")));
    }
    if depth::is_too_deep(text) {
        return Err(invalid("nested too deep".to_owned()));
    }
    let program = STANDARD
        .compile(text)
        .map_err(|errors| invalid(errors.to_string()))?;
    let reading = Reading::of(program.expression()).map_err(invalid)?;
    Ok(Some(Condition {
        text: text.to_owned(),
        program,
        reading,
    }))
}

// === impl Condition ===

impl Condition {
    fn holds(&self, event: &Event) -> Result<bool, EvaluationError> {
        let failed = |reason: String| EvaluationError {
            rule: self.text.clone(),
            reason,
        };
        let (value, size) = values::of(event, &self.reading).map_err(failed)?;
        if self.reading.steps(size) > MOST_STEPS {
            let reason =
                "the event is too large for it: it goes through lists within lists".to_owned();
            return Err(failed(reason));
        }
        let mut context = Context::with_env(Arc::clone(&STANDARD));
        context.add_variable_from_value("event", value);
        match self.program.execute(&context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(failed(format!(
                "its result is no boolean but {}",
                other.type_of()
            ))),
            // What the error shows of the event may be long.
            Err(error) => Err(failed(error.to_string().chars().take(256).collect())),
        }
    }
}

#[cfg(test)]
mod tests;
