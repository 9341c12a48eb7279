//! Which of the replicas of placement leads.
//!
//! Raft's roles and messages without its log, for nothing is ever replicated: what placement knows it learns anew from
//! the sidecars. What remains is one rule and its consequence:
//!
//! - A replica promises itself to at most one reign at a time, for [`Settings::promise`] on its own clock. It promises by
//!   granting a vote and by acknowledging a beat; until the promise is over, or given back by whom it was made to, it
//!   grants and acknowledges nothing else, and does not stand itself. What it promised before a restart it does not
//!   know, so it keeps to itself for as long as a promise lasts.
//! - A leader leads only while a quorum has promised itself to its reign: for [`Settings::lease`] on its own clock from
//!   when it *sent* the last question that a quorum granted. A lease is shorter than a promise by more than clocks may
//!   differ ([`Settings::DRIFT`]).
//!
//! Two quorums share a replica, and that one's promise is to one reign: so no two replicas ever lead at the same
//! instant, whatever is lost, delayed, repeated or reordered. Terms only number the reigns; that is why a term that was
//! lost costs nothing.
//!
//! A replica asks around (*canvass*) before it asks for votes, which binds nobody: one that was cut off and comes back
//! cannot depose a healthy leader, nor keep others from promising themselves to one.

mod message;
mod poll;
mod reign;
mod settings;

use std::time::{Duration, Instant};

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

pub use message::{Action, Answer, Event, Question, Replica, Subject};
pub use settings::Settings;

use poll::{Outcome, Poll, Stage};
use reign::Reign;

/// One replica's part in the election.
#[derive(Debug)]
pub struct Election {
    settings: Settings,
    random: SmallRng,
    /// The greatest that was heard of.
    term: u64,
    /// Number of the last question. It begins anywhere, so that answers to an earlier process fit no question.
    number: u64,
    /// Names the reign that this replica has or stands for. Another after each.
    name: u64,
    /// When the promises of an earlier process are over.
    settled_at: Instant,
    promise: Option<Promise>,
    /// The last release: asker, reign, number. What it overtook comes too late.
    released: Option<(Replica, u64, u64)>,
    role: Role,
    /// When a follower stands.
    stand_at: Instant,
    /// Resigned for good.
    retired: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Promise {
    to: Replica,
    reign: u64,
    /// The last question by which it was made or prolonged.
    number: u64,
    until: Instant,
}

#[derive(Debug)]
enum Role {
    Following { leader: Option<Replica> },
    Asking(Poll),
    Leading(Reign),
}

// === impl Promise ===

impl Promise {
    fn is_to(&self, from: Replica, reign: u64) -> bool {
        (self.to, self.reign) == (from, reign)
    }
}

// === impl Election ===

impl Election {
    /// A replica that starts at `now` and knew of `term` before (0: of none). `seed` makes everything random here.
    pub fn new(settings: Settings, term: u64, (seed, now): (u64, Instant)) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let (number, name) = (random.random::<u64>() >> 1, random.random());
        let settled_at = now + settings.promise();
        let mut election = Self {
            settings,
            random,
            term,
            number,
            name,
            settled_at,
            promise: None,
            released: None,
            role: Role::Following { leader: None },
            stand_at: settled_at,
            retired: false,
        };
        election.stand_at = settled_at + election.spread();
        election
    }

    /// Takes in what happened at `now` and says what to do about it, in order.
    pub fn step(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        let before = self.term;
        self.expire(now, &mut actions);
        match event {
            Event::Tick => self.tick(now, &mut actions),
            Event::Asked { from, question } => {
                self.term = self.term.max(question.term);
                let granted = self.judge(from, &question, now);
                let (term, number) = (self.term, question.number);
                let answer = Answer {
                    term,
                    number,
                    granted,
                };
                actions.push(Action::Answer { to: from, answer });
            }
            Event::Answered { from, answer } => {
                self.term = self.term.max(answer.term);
                self.count(from, answer, now, &mut actions);
            }
            Event::Resign => self.resign(now, &mut actions),
        }
        if self.term != before {
            // Before anything that follows from it leaves this replica.
            actions.insert(0, Action::Keep { term: self.term });
        }
        actions
    }

    /// When to come back with [`Event::Tick`], unless another event comes first; `None`: not before.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.role {
            Role::Following { .. } => (!self.retired).then_some(self.stand_at),
            Role::Asking(poll) => Some(poll.asked + self.settings.poll()),
            Role::Leading(reign) => Some(reign.next_beat.min(reign.until)),
        }
    }

    /// Until when this replica leads unless it hears from a quorum; `None`: it does not.
    pub fn leads_until(&self) -> Option<Instant> {
        match &self.role {
            Role::Leading(reign) => Some(reign.until),
            Role::Following { .. } | Role::Asking(_) => None,
        }
    }

    /// Who leads, as far as this replica knows.
    pub fn leader(&self) -> Option<Replica> {
        match &self.role {
            Role::Leading(_) => Some(self.settings.me),
            Role::Following { leader } => *leader,
            Role::Asking(_) => None,
        }
    }

    /// Number of the last election that this replica knows of.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// What time alone has ended, whoever notices first.
    fn expire(&mut self, now: Instant, actions: &mut Vec<Action>) {
        match &self.role {
            Role::Leading(reign) if now >= reign.until => self.cease(now, actions),
            Role::Asking(poll) if now >= poll.asked + self.settings.poll() => {
                self.fail(now, actions);
            }
            _ => {}
        }
        if self.promise.is_some_and(|promise| promise.until <= now) {
            self.promise = None;
            if let Role::Following { leader } = &mut self.role {
                *leader = None;
            }
        }
    }

    fn tick(&mut self, now: Instant, actions: &mut Vec<Action>) {
        match &self.role {
            Role::Following { .. } if !self.retired && now >= self.stand_at => {
                self.stand(now, actions);
            }
            Role::Leading(reign) if now >= reign.next_beat => self.beat(now, actions),
            _ => {}
        }
    }

    // --- standing ---

    fn stand(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if !self.is_free_for(self.settings.me, self.name, now) || now < self.settled_at {
            let free_at = self.promise.map_or(self.settled_at, |it| it.until);
            self.stand_at = free_at.max(self.settled_at) + self.spread();
            return;
        }
        self.ask_all(Stage::Canvass, now, actions);
    }

    fn ask_all(&mut self, stage: Stage, now: Instant, actions: &mut Vec<Action>) {
        let subject = match stage {
            Stage::Canvass => Subject::Canvass,
            Stage::Vote => Subject::Vote,
        };
        let number = self.ask(subject, actions);
        if stage == Stage::Vote {
            self.promise = Some(Promise {
                to: self.settings.me,
                reign: self.name,
                number,
                until: now + self.settings.promise(),
            });
        }
        let poll = Poll::new(stage, number, (self.settings.me, now));
        self.role = Role::Asking(poll);
        self.advance(now, actions);
    }

    /// Goes on as the poll stands.
    fn advance(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Role::Asking(poll) = &self.role else {
            return;
        };
        let (stage, asked) = (poll.stage, poll.asked);
        match poll.outcome(&self.settings) {
            Outcome::Open => {}
            Outcome::Lost => self.fail(now, actions),
            Outcome::Won if stage == Stage::Canvass => {
                self.term += 1;
                self.ask_all(Stage::Vote, now, actions);
            }
            Outcome::Won => {
                let until = asked + self.settings.lease();
                self.promise = None;
                self.role = Role::Leading(Reign::new(until, now));
                let term = self.term;
                actions.push(Action::Lead { term, until });
                self.beat(now, actions);
            }
        }
    }

    /// Stands again soon. Those who granted their vote are let go.
    fn fail(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Role::Asking(poll) = &self.role else {
            return;
        };
        if poll.stage == Stage::Vote {
            self.promise = None;
            self.ask(Subject::Release, actions);
        }
        self.role = Role::Following { leader: None };
        let pause = self.settings.poll();
        self.stand_at = now + self.random.random_range(pause / 5..=pause);
    }

    // --- leading ---

    fn beat(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let number = self.ask(Subject::Beat, actions);
        if let Role::Leading(reign) = &mut self.role {
            reign.sent(number, now, &self.settings);
        }
        self.renew(now, actions);
    }

    fn renew(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if let Role::Leading(reign) = &mut self.role
            && let Some(until) = reign.renew(now, &self.settings)
        {
            actions.push(Action::Extend { until });
        }
    }

    fn cease(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.role = Role::Following { leader: None };
        self.name = self.random.random();
        self.stand_at = now + self.spread();
        actions.push(Action::Cease);
    }

    fn resign(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.retired = true;
        match &self.role {
            Role::Leading(_) => {
                self.ask(Subject::Release, actions);
                self.cease(now, actions);
            }
            Role::Asking(_) => self.fail(now, actions),
            Role::Following { .. } => {}
        }
    }

    // --- others' questions, and their answers ---

    /// Whether what `from` asks for is granted.
    fn judge(&mut self, from: Replica, question: &Question, now: Instant) -> bool {
        let Question {
            number,
            reign,
            subject,
            ..
        } = *question;
        let settled = now >= self.settled_at;
        match subject {
            Subject::Release => {
                self.release(from, question, now);
                true
            }
            _ if matches!(self.role, Role::Leading(_)) => false,
            _ if !self.is_free_for(from, reign, now) => false,
            _ if self.is_overtaken(from, question) => false,
            // Of two who ask around at the same time, the one that stands earlier anyway.
            Subject::Canvass => settled && !self.is_ahead_of(from),
            Subject::Vote if !settled => false,
            Subject::Vote => {
                self.promise_to(from, (reign, number), now);
                self.role = Role::Following { leader: None };
                true
            }
            Subject::Beat => {
                self.promise_to(from, (reign, number), now);
                self.role = Role::Following { leader: Some(from) };
                settled
            }
        }
    }

    fn is_free_for(&self, from: Replica, reign: u64, now: Instant) -> bool {
        self.promise
            .is_none_or(|promise| promise.until <= now || promise.is_to(from, reign))
    }

    fn is_ahead_of(&self, other: Replica) -> bool {
        matches!(self.role, Role::Asking(_)) && self.settings.me < other
    }

    fn is_overtaken(&self, from: Replica, question: &Question) -> bool {
        self.released.is_some_and(|(who, reign, number)| {
            (who, reign) == (from, question.reign) && question.number < number
        })
    }

    fn promise_to(&mut self, to: Replica, (reign, number): (u64, u64), now: Instant) {
        // Of questions that overtook each other, the later one counts.
        let before = self.promise.filter(|it| it.is_to(to, reign));
        let number = before.map_or(number, |it| it.number.max(number));
        let until = now + self.settings.promise();
        self.promise = Some(Promise {
            to,
            reign,
            number,
            until,
        });
        self.stand_at = until.max(self.settled_at) + self.spread();
    }

    fn release(&mut self, from: Replica, question: &Question, now: Instant) {
        self.released = Some((from, question.reign, question.number));
        let released = |promise: &Promise| {
            promise.is_to(from, question.reign) && promise.number < question.number
        };
        if self.promise.as_ref().is_some_and(released) {
            self.promise = None;
            self.role = Role::Following { leader: None };
            self.stand_at = self.settled_at.max(now) + self.spread() / 4;
        }
    }

    fn count(&mut self, from: Replica, answer: Answer, now: Instant, actions: &mut Vec<Action>) {
        match &mut self.role {
            Role::Asking(poll) if poll.number == answer.number => {
                poll.count(from, answer.granted);
                self.advance(now, actions);
            }
            Role::Leading(reign) if answer.granted => {
                reign.acknowledged(from, answer.number);
                self.renew(now, actions);
            }
            _ => {}
        }
    }

    /// Asks everybody else; gives the question's number.
    fn ask(&mut self, subject: Subject, actions: &mut Vec<Action>) -> u64 {
        self.number += 1;
        let question = Question {
            term: self.term,
            number: self.number,
            reign: self.name,
            subject,
        };
        let others = self.settings.others();
        actions.extend(others.map(|to| Action::Ask { to, question }));
        self.number
    }

    /// How much later than it could a replica stands: lower ranks first, so that seldom two stand at once.
    fn spread(&mut self) -> Duration {
        let step = self.settings.spread();
        let rank = u32::try_from(self.settings.me.0).unwrap_or(u32::MAX);
        step / 3 + step.saturating_mul(rank) + self.random.random_range(Duration::ZERO..=step)
    }
}

#[cfg(test)]
mod tests;
