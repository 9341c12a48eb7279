//! Rules as Sentinel writes them. One that cannot apply is left out with a warning, as Sentinel does.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tracing::warn;

use super::Settings;

/// `flowRules`: `threshold` requests in `statIntervalInMs`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FlowRule {
    pub(super) resource: String,
    /// 0 the threshold as it is, 1 warming up to it, 2 by the memory in use.
    pub(super) token_calculate_strategy: i32,
    /// 0 refuse, 1 spread evenly and queue.
    pub(super) control_behavior: i32,
    pub(super) threshold: f64,
    /// 0 counts the resource itself, 1 another one.
    pub(super) relation_strategy: i32,
    pub(super) ref_resource: String,
    pub(super) max_queueing_time_ms: u32,
    pub(super) warm_up_period_sec: u32,
    pub(super) warm_up_cold_factor: u32,
    /// 0 is a second.
    pub(super) stat_interval_in_ms: u32,
}

/// `isolationRules`: `threshold` requests at once.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct IsolationRule {
    pub(super) resource: String,
    pub(super) metric_type: i32,
    pub(super) threshold: u32,
}

/// `circuitBreakerRules`: rests when too many requests are slow.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct BreakerRule {
    pub(super) resource: String,
    /// 0 the part of slow requests, 1 the part of errors, 2 the number of errors.
    pub(super) strategy: u32,
    pub(super) retry_timeout_ms: u32,
    pub(super) min_request_amount: u64,
    pub(super) stat_interval_ms: u32,
    pub(super) stat_sliding_window_bucket_count: u32,
    pub(super) max_allowed_rt_ms: u64,
    pub(super) threshold: f64,
    pub(super) probe_num: u64,
}

/// `systemRules`: a limit for all requests together.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SystemRule {
    /// 0 load, 1 average time, 2 requests at once, 3 requests a second, 4 use of the processors.
    pub(super) metric_type: u32,
    pub(super) trigger_count: f64,
    /// 1 lets requests pass while the system keeps up with them.
    pub(super) strategy: i32,
}

/// Every rule that can apply.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) flow: Vec<FlowRule>,
    pub(super) isolation: Vec<IsolationRule>,
    pub(super) breakers: Vec<BreakerRule>,
    pub(super) system: Vec<SystemRule>,
}

impl Rules {
    /// Reads all of them; the error names those that are no rules.
    pub(super) fn read(settings: &Settings) -> Result<Self, String> {
        let hot: Vec<Value> = parse("hotspot param", &settings.hot_spot_param_rules)?;
        if !hot.is_empty() {
            warn!("hotSpotParamRules have no effect: requests have no parameters for them");
        }
        let rules = Self {
            flow: valid("flow", &settings.flow_rules, FlowRule::problem)?,
            isolation: valid(
                "isolation",
                &settings.isolation_rules,
                IsolationRule::problem,
            )?,
            breakers: valid(
                "circuit breaker",
                &settings.circuit_breaker_rules,
                BreakerRule::problem,
            )?,
            system: valid("system", &settings.system_rules, SystemRule::problem)?,
        };
        if rules
            .flow
            .iter()
            .any(|rule| rule.token_calculate_strategy == 2)
        {
            return Err(
                "fail to load sentinel flow rules: tokenCalculateStrategy 2 (by memory) is not there yet"
                    .to_owned(),
            );
        }
        Ok(rules)
    }
}

fn parse<T: DeserializeOwned>(kind: &str, text: &str) -> Result<Vec<T>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(text)
        .map_err(|error| format!("fail to load sentinel {kind} rules: {error}"))
}

fn valid<T: DeserializeOwned + std::fmt::Debug>(
    kind: &'static str,
    text: &str,
    problem: fn(&T) -> Option<&'static str>,
) -> Result<Vec<T>, String> {
    let mut rules: Vec<T> = parse(kind, text)?;
    rules.retain(|rule| {
        let problem = problem(rule);
        if let Some(problem) = problem {
            warn!(kind, ?rule, problem, "a rule that cannot apply is left out");
        }
        problem.is_none()
    });
    Ok(rules)
}

impl FlowRule {
    fn problem(&self) -> Option<&'static str> {
        match self {
            rule if rule.resource.is_empty() => Some("resource is empty"),
            rule if rule.threshold < 0.0 => Some("threshold is negative"),
            rule if !(0..=2).contains(&rule.token_calculate_strategy) => {
                Some("tokenCalculateStrategy is unknown")
            }
            rule if !(0..=1).contains(&rule.control_behavior) => Some("controlBehavior is unknown"),
            rule if !(0..=1).contains(&rule.relation_strategy) => {
                Some("relationStrategy is unknown")
            }
            rule if rule.relation_strategy == 1 && rule.ref_resource.is_empty() => {
                Some("refResource is empty")
            }
            rule if rule.warms_up() && rule.warm_up_period_sec == 0 => Some("warmUpPeriodSec is 0"),
            rule if rule.warms_up() && rule.warm_up_cold_factor == 1 => {
                Some("warmUpColdFactor is 1")
            }
            _ => None,
        }
    }

    pub(super) fn warms_up(&self) -> bool {
        self.token_calculate_strategy == 1
    }

    pub(super) fn queues(&self) -> bool {
        self.control_behavior == 1
    }

    /// The resource whose requests count.
    pub(super) fn counted(&self) -> &str {
        if self.relation_strategy == 1 {
            &self.ref_resource
        } else {
            &self.resource
        }
    }
}

impl IsolationRule {
    fn problem(&self) -> Option<&'static str> {
        match self {
            rule if rule.resource.is_empty() => Some("resource is empty"),
            rule if rule.metric_type != 0 => Some("metricType is unknown"),
            rule if rule.threshold == 0 => Some("threshold is 0"),
            _ => None,
        }
    }
}

impl BreakerRule {
    fn problem(&self) -> Option<&'static str> {
        match self {
            rule if rule.resource.is_empty() => Some("resource is empty"),
            rule if rule.strategy > 2 => Some("strategy is unknown"),
            rule if rule.strategy > 0 => Some("no errors are reported, so it would never open"),
            rule if rule.stat_interval_ms == 0 => Some("statIntervalMs is 0"),
            rule if rule.retry_timeout_ms == 0 => Some("retryTimeoutMs is 0"),
            rule if !(0.0..=1.0).contains(&rule.threshold) => Some("threshold is not from 0 to 1"),
            _ => None,
        }
    }
}

impl SystemRule {
    fn problem(&self) -> Option<&'static str> {
        match self {
            rule if rule.trigger_count < 0.0 => Some("triggerCount is negative"),
            rule if rule.metric_type > 4 => Some("metricType is unknown"),
            rule if rule.metric_type == 4 && rule.trigger_count > 1.0 => {
                Some("triggerCount of the processors' use is more than 1")
            }
            _ => None,
        }
    }
}
