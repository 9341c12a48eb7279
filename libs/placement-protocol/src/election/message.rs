//! What replicas ask each other, and what an election wants done.

use std::time::Instant;

/// A replica, by its place in the order of all names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Replica(pub usize);

/// What one replica asks another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// The greatest that the asker knows of.
    pub term: u64,
    /// Grows with each question of a process; no other process counts from the same place.
    pub number: u64,
    /// The reign that it is about.
    pub reign: u64,
    /// What is asked.
    pub subject: Subject,
}

/// What a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Would you vote for me? Binds nobody.
    Canvass,
    /// Will you promise yourself to my reign?
    Vote,
    /// I lead: is your promise still good?
    Beat,
    /// I do not lead, or no more: you are free.
    Release,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The greatest that the answerer knows of.
    pub term: u64,
    /// Of the question.
    pub number: u64,
    /// Yes, or no.
    pub granted: bool,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// [`super::Election::deadline`] has come, perhaps.
    Tick,
    /// Another replica asks. Exactly one of the actions is the answer.
    Asked {
        /// Who.
        from: Replica,
        /// What.
        question: Question,
    },
    /// Another replica has answered. A question that could not be delivered counts as answered with no.
    Answered {
        /// Who.
        from: Replica,
        /// What.
        answer: Answer,
    },
    /// This replica shall not lead from now on: it stops.
    Resign,
}

/// What to do, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Keep the term, before anything else is done.
    Keep {
        /// The greatest that this replica knows of.
        term: u64,
    },
    /// Ask another replica.
    Ask {
        /// Whom.
        to: Replica,
        /// What.
        question: Question,
    },
    /// Answer.
    Answer {
        /// Whom.
        to: Replica,
        /// What.
        answer: Answer,
    },
    /// This replica leads.
    Lead {
        /// The number of this election.
        term: u64,
        /// For so long, unless it is extended.
        until: Instant,
    },
    /// It leads for longer.
    Extend {
        /// For so long.
        until: Instant,
    },
    /// It leads no more.
    Cease,
}
