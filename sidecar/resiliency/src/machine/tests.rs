use proptest::prelude::*;
use tokio::time::Instant;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn settings(trip: &str) -> Settings {
    Settings {
        name: "cb".to_owned(),
        max_requests: 1,
        interval: Duration::ZERO,
        timeout: 10 * SECOND,
        trip: Arc::new(Trip::parse(trip).unwrap()),
    }
}

struct Test {
    machine: Machine,
    now: Instant,
}

impl Test {
    fn new(settings: Settings) -> Self {
        let now = Instant::now();
        Self {
            machine: Machine::new(Arc::new(settings), now),
            now,
        }
    }

    fn ends(&mut self, outcome: Outcome) -> State {
        let generation = self.machine.admit(self.now).unwrap();
        self.machine.settle(generation, outcome, self.now);
        self.machine.state(self.now)
    }

    fn fails(&mut self) -> State {
        self.ends(Outcome::Failure)
    }

    fn succeeds(&mut self) -> State {
        self.ends(Outcome::Success)
    }

    fn pass(&mut self, time: Duration) -> State {
        self.now += time;
        self.machine.state(self.now)
    }
}

#[test]
fn requests_are_refused_while_open_and_probed_after_the_timeout() {
    let mut test = Test::new(settings("consecutiveFailures > 1"));
    assert_eq!(test.fails(), State::Closed);
    assert_eq!(test.fails(), State::Open);
    assert_eq!(test.machine.admit(test.now), Err(Refused::Open));
    assert_eq!(test.pass(10 * SECOND), State::Open);
    assert_eq!(test.pass(Duration::from_nanos(1)), State::HalfOpen);
    assert_eq!(test.succeeds(), State::Closed);
}

#[test]
fn a_failed_probe_opens_again_for_the_whole_timeout() {
    let mut test = Test::new(settings("consecutiveFailures > 0"));
    test.fails();
    test.pass(11 * SECOND);
    assert_eq!(test.fails(), State::Open);
    assert_eq!(test.pass(10 * SECOND), State::Open);
    assert_eq!(test.pass(SECOND), State::HalfOpen);
}

#[test]
fn half_open_lets_as_many_through_as_it_is_told_and_closes_after_as_many_successes() {
    let mut test = Test::new(Settings {
        max_requests: 2,
        ..settings("consecutiveFailures > 0")
    });
    test.fails();
    test.pass(11 * SECOND);
    let probes = [(); 2].map(|()| test.machine.admit(test.now).unwrap());
    assert_eq!(test.machine.admit(test.now), Err(Refused::TooManyRequests));
    test.machine.settle(probes[0], Outcome::Success, test.now);
    assert_eq!(test.machine.state(test.now), State::HalfOpen);
    test.machine.settle(probes[1], Outcome::Success, test.now);
    assert_eq!(test.machine.state(test.now), State::Closed);
}

#[test]
fn what_ends_in_another_generation_is_not_counted() {
    let mut test = Test::new(settings("totalFailures > 0"));
    let slow = test.machine.admit(test.now).unwrap();
    test.fails();
    test.pass(11 * SECOND);
    test.machine.settle(slow, Outcome::Success, test.now);
    assert_eq!(test.machine.state(test.now), State::HalfOpen);
    assert_eq!(test.machine.counts(), Counts::default());
}

#[test]
fn counts_start_anew_after_each_interval() {
    let mut test = Test::new(Settings {
        interval: 8 * SECOND,
        ..settings("totalFailures > 1")
    });
    test.fails();
    test.pass(9 * SECOND);
    assert_eq!(test.machine.counts(), Counts::default());
    assert_eq!(test.fails(), State::Closed);
    assert_eq!(test.fails(), State::Open);
}

#[test]
fn without_interval_counts_stay() {
    let mut test = Test::new(settings("totalFailures > 1"));
    test.fails();
    test.succeeds();
    test.pass(Duration::from_secs(86_400));
    assert_eq!(test.fails(), State::Open);
}

#[test]
fn success_ends_a_row_of_failures() {
    let mut test = Test::new(settings("consecutiveFailures > 1"));
    test.fails();
    test.succeeds();
    assert_eq!(test.fails(), State::Closed);
    assert_eq!(test.fails(), State::Open);
}

#[test]
fn trip_is_asked_after_failures_only() {
    let mut test = Test::new(settings("requests > 2"));
    for _ in 0..5 {
        assert_eq!(test.succeeds(), State::Closed);
    }
    assert_eq!(test.fails(), State::Open);
}

#[derive(Debug, Clone)]
enum Step {
    Admit,
    /// The oldest request, or the newest, ends.
    Settle(bool, bool),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Admit),
        3 => (any::<bool>(), any::<bool>()).prop_map(|(oldest, good)| Step::Settle(oldest, good)),
        1 => (0u64..15).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    /// Whatever happens: open lets nothing through, half-open no more than it is told, counts add up, and
    /// once everything has ended a target that is well again is reached.
    #[test]
    fn breaker_neither_leaks_nor_sticks(steps in steps(), max_requests in 1u32..4) {
        let mut test = Test::new(Settings {
            max_requests,
            interval: 7 * SECOND,
            ..settings("consecutiveFailures > 1")
        });
        let mut under_way = std::collections::VecDeque::new();
        for step in steps {
            match step {
                Step::Admit => {
                    let state = test.machine.state(test.now);
                    let admitted = test.machine.admit(test.now);
                    prop_assert!(state != State::Open || admitted == Err(Refused::Open));
                    under_way.extend(admitted.ok());
                }
                Step::Settle(oldest, good) => {
                    let request = if oldest { under_way.pop_front() } else { under_way.pop_back() };
                    let outcome = if good { Outcome::Success } else { Outcome::Failure };
                    if let Some(request) = request {
                        test.machine.settle(request, outcome, test.now);
                    }
                }
                Step::Pass(seconds) => {
                    test.pass(Duration::from_secs(seconds));
                }
            }
            let counts = test.machine.counts();
            prop_assert!(counts.total_successes + counts.total_failures <= counts.requests);
            if test.machine.state(test.now) == State::HalfOpen {
                prop_assert!(counts.requests <= max_requests);
            }
        }
        for request in under_way {
            test.machine.settle(request, Outcome::Failure, test.now);
        }
        test.pass(11 * SECOND);
        for _ in 0..max_requests {
            test.succeeds();
        }
        prop_assert_eq!(test.machine.state(test.now), State::Closed);
    }
}
