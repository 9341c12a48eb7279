//! When a token is renewed. A state machine: events go in with the time they happened at, what to do next and when comes
//! out.

use std::time::Duration;

use tokio::time::Instant;

/// How much of a token's life passes before it is renewed, at most; jitter takes up to a third of that.
const PART: f64 = 2.0 / 3.0;
/// Between two requests about one token, at least.
const SHORTEST: Duration = Duration::from_secs(1);
/// Between two attempts while the server is away, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A token this short of its end cannot be prolonged any more, when it was just renewed.
const ENDING: Duration = Duration::from_secs(2);

/// What is known of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    /// Until it expires; zero is never.
    pub(crate) life: Duration,
    /// Whether it can be renewed.
    pub(crate) renewable: bool,
}

/// What to ask the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// What there is to know about the token.
    LookUp,
    /// That it lives longer.
    Renew,
}

/// How a question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The token as it is now.
    Known(Lease),
    /// The server does not want to be asked that, now or later.
    Refused,
    /// There was no answer, or none of use.
    Away,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Next {
    Ask(Question, Instant),
    /// Nothing about this token, for the reason.
    Nothing(End),
}

/// Why nothing more is to be done about a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It never expires.
    Lasting,
    /// It expires, and cannot be renewed.
    Unrenewable,
    /// The server refused to look it up or to renew it.
    Refused(Question),
}

/// The renewal of one token.
#[derive(Debug)]
pub(crate) struct Renewal {
    next: Next,
    failures: u32,
}

impl Renewal {
    /// Of a token about which nothing is known yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            next: Next::Ask(Question::LookUp, now),
            failures: 0,
        }
    }

    /// The question that is due.
    pub(crate) fn due(&self, now: Instant) -> Option<Question> {
        match self.next {
            Next::Ask(question, at) if at <= now => Some(question),
            _ => None,
        }
    }

    /// When the next question is due; `None` when there is none.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        match self.next {
            Next::Ask(_, at) => Some(at),
            Next::Nothing(_) => None,
        }
    }

    /// Takes how `question` ended; `jitter` is a random number from 0 to 1. Gives the end, when it has come.
    pub(crate) fn step(
        &mut self,
        question: Question,
        outcome: Outcome,
        now: Instant,
        jitter: f64,
    ) -> Option<End> {
        let lease = match outcome {
            Outcome::Known(lease) => lease,
            Outcome::Refused => return Some(self.end(End::Refused(question))),
            Outcome::Away => {
                let pause = pause(self.failures, jitter);
                self.failures = self.failures.saturating_add(1);
                self.next = Next::Ask(question, now + pause);
                return None;
            }
        };
        self.failures = 0;
        if lease.life.is_zero() {
            return Some(self.end(End::Lasting));
        }
        let ends = question == Question::Renew && lease.life <= ENDING;
        if !lease.renewable || ends {
            return Some(self.end(End::Unrenewable));
        }
        let wait = lease.life.mul_f64(PART * (1.0 - jitter / 3.0));
        self.next = Next::Ask(Question::Renew, now + wait.max(SHORTEST));
        None
    }

    fn end(&mut self, end: End) -> End {
        self.next = Next::Nothing(end);
        end
    }
}

/// Doubles with each failure, up to the longest; jitter takes up to half of it.
fn pause(failures: u32, jitter: f64) -> Duration {
    let doubled = SHORTEST.saturating_mul(1 << failures.min(10));
    doubled.min(LONGEST_PAUSE).mul_f64(1.0 - jitter / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(seconds: u64, renewable: bool) -> Outcome {
        let life = Duration::from_secs(seconds);
        Outcome::Known(Lease { life, renewable })
    }

    struct Run {
        renewal: Renewal,
        now: Instant,
    }

    impl Run {
        fn new() -> Self {
            let now = Instant::now();
            let renewal = Renewal::new(now);
            Self { renewal, now }
        }

        /// Seconds until the next question, which is asked then.
        fn step(&mut self, expected: Question, outcome: Outcome, jitter: f64) -> Option<f64> {
            assert_eq!(self.renewal.due(self.now), Some(expected));
            self.renewal.step(expected, outcome, self.now, jitter);
            let at = self.renewal.next_at()?;
            let wait = at - self.now;
            assert_eq!(self.renewal.due(self.now), None);
            self.now = at;
            Some(wait.as_secs_f64())
        }
    }

    #[test]
    fn a_token_is_renewed_before_two_thirds_of_its_life_have_passed() {
        let mut run = Run::new();
        let wait = run.step(Question::LookUp, lease(90, true), 0.0).unwrap();
        assert!((wait - 60.0).abs() < 0.01, "{wait}");
        let wait = run.step(Question::Renew, lease(90, true), 1.0).unwrap();
        assert!((wait - 40.0).abs() < 0.01, "{wait}");
        // Nobody is asked more often than this.
        let wait = run.step(Question::Renew, lease(3, true), 1.0).unwrap();
        assert!(wait >= 1.0, "{wait}");
    }

    #[test]
    fn a_token_that_cannot_be_renewed_is_left_alone() {
        for (outcome, end) in [
            (lease(0, true), End::Lasting),
            (lease(0, false), End::Lasting),
            (lease(90, false), End::Unrenewable),
            (Outcome::Refused, End::Refused(Question::LookUp)),
        ] {
            let mut run = Run::new();
            let ended = run.renewal.step(Question::LookUp, outcome, run.now, 0.5);
            assert_eq!((ended, run.renewal.next_at()), (Some(end), None));
        }
    }

    #[test]
    fn at_the_end_of_its_longest_life_a_token_is_left_to_expire() {
        let mut run = Run::new();
        run.step(Question::LookUp, lease(10, true), 0.0);
        // Each renewal gives less: the server knows a longest life.
        run.step(Question::Renew, lease(4, true), 0.0);
        assert_eq!(run.step(Question::Renew, lease(2, true), 0.0), None);
    }

    #[test]
    fn a_server_that_is_away_is_asked_again_less_and_less_often() {
        let mut run = Run::new();
        let mut last = 0.0;
        for _ in 0..40 {
            let wait = run.step(Question::LookUp, Outcome::Away, 0.0).unwrap();
            assert!(wait >= last && wait <= 60.0, "{wait} after {last}");
            last = wait;
        }
        assert!((last - 60.0).abs() < 0.01, "{last}");
        run.step(Question::LookUp, lease(90, true), 0.0);
        let wait = run.step(Question::Renew, Outcome::Away, 1.0).unwrap();
        assert!((wait - 0.5).abs() < 0.01, "{wait}");
    }
}
