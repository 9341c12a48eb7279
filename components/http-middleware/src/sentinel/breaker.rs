//! A resource whose requests are too slow rests for a while, and is then tried with single ones.

use std::time::Duration;

use super::{
    flow::{as_float, as_millis},
    rules::BreakerRule,
    window::{Millis, Window},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    /// Until this moment.
    Open(Millis),
    /// With so many good probes.
    HalfOpen(u64),
}

/// One rule and its state.
#[derive(Debug)]
pub(super) struct Breaker {
    rule: BreakerRule,
    state: State,
    window: Window,
}

impl Breaker {
    pub(super) fn new(rule: BreakerRule) -> Self {
        let buckets = u64::from(rule.stat_sliding_window_bucket_count);
        let window = Window::with_buckets(Millis::from(rule.stat_interval_ms), buckets);
        Self {
            rule,
            state: State::Closed,
            window,
        }
    }

    /// Whether a request may pass; it may be a probe.
    pub(super) fn admits(&mut self, now: Duration) -> bool {
        match self.state {
            State::Closed => true,
            State::Open(until) if as_millis(now) >= until => {
                self.state = State::HalfOpen(0);
                true
            }
            State::Open(_) => false,
            State::HalfOpen(_) => self.rule.probe_num > 0,
        }
    }

    /// A request that this one admitted was refused by another rule: its probe did not happen.
    pub(super) fn take_back(&mut self, now: Duration) {
        if self.state == State::HalfOpen(0) {
            self.state = State::Open(as_millis(now));
        }
    }

    /// Takes note of a request that ended after `time`.
    pub(super) fn completed(&mut self, now: Duration, time: Duration) {
        let millis = as_millis(now);
        let slow = as_millis(time) > self.rule.max_allowed_rt_ms;
        let counts = self.window.now(millis);
        counts.completed += 1;
        counts.slow += u64::from(slow);
        match self.state {
            State::Open(_) => {}
            State::HalfOpen(_) if slow => self.open(millis),
            State::HalfOpen(good) if good + 1 >= self.rule.probe_num => {
                self.state = State::Closed;
                self.window.clear();
            }
            State::HalfOpen(good) => self.state = State::HalfOpen(good + 1),
            State::Closed => self.judge(millis),
        }
    }

    fn judge(&mut self, now: Millis) {
        let completed = self.window.sum(now, |counts| counts.completed);
        let slow = self.window.sum(now, |counts| counts.slow);
        let part = as_float(slow) / as_float(completed);
        if completed >= self.rule.min_request_amount && part >= self.rule.threshold {
            self.open(now);
        }
    }

    fn open(&mut self, now: Millis) {
        self.state = State::Open(now + Millis::from(self.rule.retry_timeout_ms));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Breaker;
    use crate::sentinel::rules::BreakerRule;

    const FAST: Duration = Duration::from_millis(50);
    const SLOW: Duration = Duration::from_millis(51);

    fn breaker(probe_num: u64) -> Breaker {
        Breaker::new(BreakerRule {
            retry_timeout_ms: 3000,
            min_request_amount: 4,
            stat_interval_ms: 10_000,
            max_allowed_rt_ms: 50,
            threshold: 0.5,
            probe_num,
            ..BreakerRule::default()
        })
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn opened(probe_num: u64) -> Breaker {
        let mut breaker = breaker(probe_num);
        for time in [FAST, SLOW, SLOW] {
            breaker.completed(at(0), time);
            assert!(breaker.admits(at(0)), "too few to judge");
        }
        breaker.completed(at(0), FAST);
        assert!(!breaker.admits(at(2)));
        breaker
    }

    #[test]
    fn one_good_probe_closes_it() {
        let mut breaker = opened(0);
        assert!(breaker.admits(at(3)));
        assert!(!breaker.admits(at(3)), "one probe at a time");
        breaker.completed(at(3), FAST);
        assert!(breaker.admits(at(3)) && breaker.admits(at(3)));
    }

    #[test]
    fn a_slow_probe_opens_it_again() {
        let mut breaker = opened(2);
        assert!(breaker.admits(at(3)) && breaker.admits(at(3)));
        breaker.completed(at(3), FAST);
        breaker.completed(at(3), SLOW);
        assert!(!breaker.admits(at(5)));
        assert!(breaker.admits(at(6)));
    }

    #[test]
    fn a_probe_that_did_not_happen_is_tried_again() {
        let mut breaker = opened(0);
        assert!(breaker.admits(at(3)));
        breaker.take_back(at(3));
        assert!(breaker.admits(at(3)));
    }
}
