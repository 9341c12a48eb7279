//! Limits for all requests together.

use std::{fs, time::Duration};

use super::{
    flow::{as_float, as_millis},
    rules::SystemRule,
    window::{Millis, Window},
};

/// How old a look at the machine may be.
const FRESH: Millis = 1000;

/// All requests, and the machine.
#[derive(Debug)]
pub(super) struct System {
    rules: Vec<SystemRule>,
    running: u64,
    window: Window,
    machine: Machine,
}

/// What the kernel says of the machine; nothing where there is no `/proc`.
#[derive(Debug, Default)]
struct Machine {
    seen: Option<Millis>,
    load: f64,
    busy: f64,
    /// Ticks in use, and all of them.
    ticks: (u64, u64),
}

impl System {
    pub(super) fn new(rules: Vec<SystemRule>) -> Self {
        Self {
            rules,
            running: 0,
            window: Window::new(1000),
            machine: Machine::default(),
        }
    }

    /// Whether one more request may begin.
    pub(super) fn admits(&mut self, now: Duration) -> bool {
        let millis = as_millis(now);
        if self
            .rules
            .iter()
            .any(|rule| matches!(rule.metric_type, 0 | 4))
        {
            self.machine.look(millis);
        }
        self.rules.iter().all(|rule| self.follows(rule, millis))
    }

    pub(super) fn passed(&mut self, now: Duration) {
        self.running += 1;
        self.window.now(as_millis(now)).passed += 1;
    }

    pub(super) fn completed(&mut self, now: Duration, time: Duration) {
        self.running = self.running.saturating_sub(1);
        let millis = as_millis(time);
        let counts = self.window.now(as_millis(now));
        counts.completed += 1;
        counts.time += millis;
        counts.fastest = Some(counts.fastest.map_or(millis, |fastest| fastest.min(millis)));
    }

    fn follows(&self, rule: &SystemRule, now: Millis) -> bool {
        let limit = rule.trigger_count;
        let kept_up = || rule.strategy == 1 && self.keeps_up(now);
        match rule.metric_type {
            0 => self.machine.load <= limit || kept_up(),
            1 => self.average_time(now) < limit,
            2 => as_float(self.running) < limit,
            3 => as_float(self.window.sum(now, |counts| counts.passed)) < limit,
            _ => self.machine.busy <= limit || kept_up(),
        }
    }

    fn average_time(&self, now: Millis) -> f64 {
        let completed = self.window.sum(now, |counts| counts.completed);
        as_float(self.window.sum(now, |counts| counts.time)) / as_float(completed.max(1))
    }

    /// Whether no more run than the best of the last second could end in time (as congestion control by BBR has it).
    fn keeps_up(&self, now: Millis) -> bool {
        let best = self.window.recent(now).map(|counts| counts.completed).max();
        let best = as_float(best.unwrap_or(0) * self.window.buckets_a_second());
        let fastest = self
            .window
            .recent(now)
            .filter_map(|counts| counts.fastest)
            .min();
        let fits = best * as_float(fastest.unwrap_or(0)) / 1000.0;
        self.running <= 1 || as_float(self.running) <= fits
    }
}

impl Machine {
    fn look(&mut self, now: Millis) {
        if self.seen.is_some_and(|seen| now < seen + FRESH) {
            return;
        }
        self.seen = Some(now);
        if let Ok(text) = fs::read_to_string("/proc/loadavg") {
            self.load = load(&text).unwrap_or(self.load);
        }
        if let Ok(text) = fs::read_to_string("/proc/stat") {
            let ticks = ticks(&text).unwrap_or(self.ticks);
            let (busy, all) = (
                ticks.0.saturating_sub(self.ticks.0),
                ticks.1.saturating_sub(self.ticks.1),
            );
            if self.ticks.1 > 0 && all > 0 {
                self.busy = as_float(busy) / as_float(all);
            }
            self.ticks = ticks;
        }
    }
}

/// The load of the last minute.
fn load(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Ticks of all processors in use, and all of them. Idle ones are the fourth and the fifth number.
fn ticks(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let numbers = line.split_whitespace().take(8).map(str::parse::<u64>);
    let numbers: Vec<u64> = numbers.collect::<Result<_, _>>().ok()?;
    let all: u64 = numbers.iter().sum();
    let idle: u64 = numbers.iter().skip(3).take(2).sum();
    Some((all - idle, all))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{System, load, ticks};
    use crate::sentinel::rules::SystemRule;

    fn system(metric_type: u32, trigger_count: f64) -> System {
        System::new(vec![SystemRule {
            metric_type,
            trigger_count,
            strategy: -1,
        }])
    }

    const NOW: Duration = Duration::from_secs(7);

    #[test]
    fn requests_are_limited_in_number_and_rate() {
        for metric_type in [2, 3] {
            let mut system = system(metric_type, 2.0);
            for expected in [true, true, false] {
                assert_eq!(system.admits(NOW), expected);
                system.passed(NOW);
            }
            system.completed(NOW, Duration::ZERO);
            system.completed(NOW, Duration::ZERO);
            assert_eq!(system.admits(NOW), metric_type == 2);
        }
    }

    #[test]
    fn slow_answers_hold_back_others() {
        let mut system = system(1, 50.0);
        assert!(system.admits(NOW));
        system.passed(NOW);
        system.completed(NOW, Duration::from_millis(60));
        assert!(!system.admits(NOW));
        assert!(system.admits(NOW + Duration::from_secs(1)));
    }

    #[test]
    fn the_kernel_is_understood() {
        assert_eq!(load("0.25 0.10 0.05 1/100 42\n"), Some(0.25));
        assert_eq!(
            ticks("cpu  10 0 20 60 10 0 0 0 0 0\ncpu0 1\n"),
            Some((30, 100))
        );
        assert_eq!(ticks("nothing"), None);
    }
}
