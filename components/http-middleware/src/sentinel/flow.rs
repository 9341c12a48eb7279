//! How many requests pass in a time.

use std::time::Duration;

use super::{
    rules::FlowRule,
    window::{Millis, Window},
};

/// How much colder than warm a resource begins unless told.
const COLD_FACTOR: u32 = 3;
/// A second, in milliseconds: the usual window.
const SECOND: Millis = 1000;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Flowing {
    Pass,
    /// It has its place, in this time.
    Wait(Duration),
    Refuse,
}

/// One rule and its state.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) rule: FlowRule,
    window: Window,
    warming: Option<Warming>,
    /// When the last one passed, or will; nanoseconds since the component began.
    last: Option<u64>,
}

impl Flow {
    pub(super) fn new(rule: FlowRule) -> Self {
        let length = match rule.stat_interval_in_ms {
            0 => SECOND,
            millis => Millis::from(millis),
        };
        let warming = (rule.warms_up() && rule.threshold > 0.0).then(|| Warming::new(&rule));
        Self {
            window: Window::new(length),
            warming,
            last: None,
            rule,
        }
    }

    /// Whether one more request passes at this moment.
    pub(super) fn check(&mut self, now: Duration) -> Flowing {
        let millis = as_millis(now);
        let threshold = match &mut self.warming {
            None => self.rule.threshold,
            Some(warming) => warming.threshold(&self.window, millis),
        };
        if self.rule.queues() {
            return self.queue(now, threshold);
        }
        let passed = self.window.sum(millis, |counts| counts.passed);
        if as_float(passed) + 1.0 > threshold {
            return Flowing::Refuse;
        }
        Flowing::Pass
    }

    /// Takes note of a request that passed.
    pub(super) fn passed(&mut self, now: Duration) {
        self.window.now(as_millis(now)).passed += 1;
    }

    fn queue(&mut self, now: Duration, threshold: f64) -> Flowing {
        if threshold < 1.0 {
            return Flowing::Refuse;
        }
        let length = match self.rule.stat_interval_in_ms {
            0 => SECOND,
            millis => Millis::from(millis),
        };
        let between = Duration::from_millis(length).div_f64(threshold);
        let due = self
            .last
            .map_or(Duration::ZERO, |last| Duration::from_nanos(last) + between);
        let wait = due.saturating_sub(now);
        if wait > Duration::from_millis(u64::from(self.rule.max_queueing_time_ms)) {
            return Flowing::Refuse;
        }
        let at = due.max(now);
        self.last = Some(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX));
        if wait.is_zero() {
            Flowing::Pass
        } else {
            Flowing::Wait(wait)
        }
    }
}

/// A threshold that rises as requests come: a bucket of tokens that fills while few do, and the more are in it, the
/// fewer pass (Guava's smooth warming up).
#[derive(Debug)]
struct Warming {
    /// When warm.
    threshold: f64,
    cold_factor: f64,
    warning: f64,
    most: f64,
    slope: f64,
    stored: f64,
    filled: Millis,
}

impl Warming {
    fn new(rule: &FlowRule) -> Self {
        let factor = match rule.warm_up_cold_factor {
            0 | 1 => COLD_FACTOR,
            factor => factor,
        };
        let (threshold, period) = (rule.threshold, f64::from(rule.warm_up_period_sec));
        let cold_factor = f64::from(factor);
        let warning = (period * threshold / (cold_factor - 1.0)).trunc();
        let most = warning + (2.0 * period * threshold / (1.0 + cold_factor)).trunc();
        Self {
            threshold,
            cold_factor,
            warning,
            most,
            slope: (cold_factor - 1.0) / threshold / (most - warning).max(1.0),
            // It begins cold.
            stored: most,
            filled: 0,
        }
    }

    fn threshold(&mut self, window: &Window, now: Millis) -> f64 {
        // Of the second before this moment's bucket.
        let before = now.checked_sub(SECOND / 2);
        let passed = before.map_or(0, |before| window.sum(before, |counts| counts.passed));
        self.fill(now - now % SECOND, as_float(passed));
        let above = self.stored - self.warning;
        if above < 0.0 {
            return self.threshold;
        }
        1.0 / (above * self.slope + 1.0 / self.threshold)
    }

    fn fill(&mut self, second: Millis, passed: f64) {
        if second <= self.filled {
            return;
        }
        let cold =
            self.stored > self.warning && passed < (self.threshold / self.cold_factor).trunc();
        if self.stored < self.warning || cold {
            let gained = as_float(second - self.filled) * self.threshold / 1000.0;
            self.stored = (self.stored + gained).min(self.most);
        }
        self.stored = (self.stored - passed).max(0.0);
        self.filled = second;
    }
}

pub(super) fn as_millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of requests are far below 2^53"
)]
pub(super) fn as_float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Flow, Flowing};
    use crate::sentinel::rules::FlowRule;

    fn flow(rule: FlowRule) -> Flow {
        Flow::new(FlowRule {
            resource: "GET:/x".to_owned(),
            ..rule
        })
    }

    /// How many of many pass at a moment.
    fn passing(flow: &mut Flow, millis: u64) -> usize {
        let now = Duration::from_millis(millis);
        let attempts = (0..1000).take_while(|_| {
            let passes = flow.check(now) == Flowing::Pass;
            if passes {
                flow.passed(now);
            }
            passes
        });
        attempts.count()
    }

    #[test]
    fn a_threshold_holds_for_its_interval() {
        let mut second = flow(FlowRule {
            threshold: 10.0,
            ..FlowRule::default()
        });
        assert_eq!(passing(&mut second, 100), 10);
        assert_eq!(passing(&mut second, 900), 0);
        assert_eq!(passing(&mut second, 1000), 10);
        let rule = FlowRule {
            threshold: 1.0,
            stat_interval_in_ms: 60_000,
            ..FlowRule::default()
        };
        let mut minute = flow(rule);
        assert_eq!(passing(&mut minute, 0), 1);
        assert_eq!(passing(&mut minute, 59_999), 0);
        assert_eq!(passing(&mut minute, 60_000), 1);
    }

    #[test]
    fn queued_requests_are_spread_until_the_queue_is_too_long() {
        let rule = FlowRule {
            threshold: 10.0,
            control_behavior: 1,
            max_queueing_time_ms: 250,
            ..FlowRule::default()
        };
        let mut flow = flow(rule);
        let now = Duration::from_secs(5);
        let waits = [(); 4].map(|()| flow.check(now));
        let wait = |millis| Flowing::Wait(Duration::from_millis(millis));
        assert_eq!(
            waits,
            [Flowing::Pass, wait(100), wait(200), Flowing::Refuse]
        );
    }

    #[test]
    fn a_cold_resource_warms_up() {
        let rule = FlowRule {
            threshold: 90.0,
            token_calculate_strategy: 1,
            warm_up_period_sec: 5,
            ..FlowRule::default()
        };
        let mut flow = flow(rule);
        let counts: Vec<usize> = (0..12)
            .map(|second| passing(&mut flow, second * 1000))
            .collect();
        assert!(
            (29..=31).contains(&counts[0]),
            "a third at first: {counts:?}"
        );
        assert!(counts.is_sorted(), "{counts:?}");
        assert_eq!(counts[11], 90, "{counts:?}");
    }
}
