//! A compiled policy.

use std::{num::NonZeroU32, time::Duration};

use regorus::{Engine, Value, utils::limits::ExecutionTimerConfig};
use trilby_components::registry::InitError;

/// What decides.
const RULE: &str = "data.http.allow";
const PACKAGE: &str = "data.http";
const RULE_IN_PACKAGE: &str = "allow";
/// The name of the module in messages.
const MODULE: &str = "inline.rego";
/// How long one evaluation may take. It occupies a thread of the sidecar: a policy that needs longer is wrong.
const LIMIT: Duration = Duration::from_secs(1);
/// Steps between two looks at the clock.
const STEPS: NonZeroU32 = NonZeroU32::new(64).expect("it is not zero");

/// A policy, ready to be asked.
pub(crate) struct Policy(Engine);

impl Policy {
    /// Compiles a module. Its language is Rego v0, as upstream's, unless it imports `rego.v1`.
    pub(crate) fn compile(rego: &str) -> Result<Self, InitError> {
        let invalid =
            |reason: String| InitError::Invalid(format!("metadata property rego: {reason}"));
        let mut engine = Engine::new();
        engine.set_rego_v0(true);
        engine.set_execution_timer_config(ExecutionTimerConfig {
            limit: LIMIT,
            check_interval: STEPS,
        });
        let package = engine
            .add_policy(MODULE.to_owned(), rego.to_owned())
            .map_err(|error| invalid(error.to_string()))?;
        let decides = engine
            .has_declared_rule_rooted_at(MODULE, RULE_IN_PACKAGE)
            .map_err(|error| invalid(error.to_string()))?;
        if package != PACKAGE || !decides {
            return Err(invalid(format!("the policy does not define {RULE}")));
        }
        // The first evaluation compiles; what it results in without input does not matter.
        engine.set_input(Value::new_object());
        drop(engine.eval_rule(RULE.to_owned()));
        Ok(Self(engine))
    }

    /// What the rule is for an input; the error says why it is nothing.
    pub(crate) fn evaluate(&self, input: serde_json::Value) -> Result<serde_json::Value, String> {
        let input: Value = serde_json::from_value(input).map_err(|error| error.to_string())?;
        let mut engine = self.0.clone();
        engine.set_input(input);
        let result = engine
            .eval_rule(RULE.to_owned())
            .map_err(|error| error.to_string())?;
        if result == Value::Undefined {
            return Err(format!(
                "received no results back from rego policy. Are you setting {RULE}?"
            ));
        }
        serde_json::to_value(&result).map_err(|error| error.to_string())
    }
}
