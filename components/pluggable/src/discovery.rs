//! Decides which socket to ask what it serves, and when to ask again. Pure: [`Discovery::step`] takes what happened and
//! answers what to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::Instant;
use trilby_components::registry::Block;
use trilby_grpc::Backoff;

use crate::{
    folder::{Listing, Stamp, name_of},
    services::{self, Services},
};

/// The first pause before a socket that did not answer is asked again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The folder was looked at.
    Listed(Listing),
    /// The folder cannot be looked at.
    Unreadable(String),
    /// A socket was asked.
    Answered(Question, Result<Services, String>),
}

/// One socket, to be asked what it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) path: PathBuf,
    pub(crate) stamp: Stamp,
}

/// A socket.
#[derive(Debug)]
struct Socket {
    stamp: Stamp,
    answer: Answer,
    asking: bool,
    backoff: Backoff,
    /// Grows when a process is seen to serve here that did not before.
    arrivals: u64,
}

/// What is known of it.
#[derive(Debug)]
enum Answer {
    /// It has not answered yet.
    Awaited,
    /// What it serves.
    Services(Services),
    /// Why it cannot be used, and when it is asked again.
    Failed { reason: String, again: Instant },
}

/// Everything that is known.
#[derive(Debug, Default)]
pub(crate) struct Discovery {
    sockets: BTreeMap<PathBuf, Socket>,
    /// Whether the folder was looked at.
    looked: bool,
    unreadable: Option<String>,
    /// What was complained about already.
    complained: BTreeSet<PathBuf>,
    arrivals: u64,
}

/// What is known of a type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// Nobody can say yet.
    Unknown,
    /// It is served.
    Served(&'a Path, &'a Services),
    /// It is not, and why.
    Missing(String),
}

impl Discovery {
    /// Takes note of what happened; the sockets to ask now.
    pub(crate) fn step(&mut self, event: Event, now: Instant) -> Vec<Question> {
        match event {
            Event::Listed(listing) => {
                self.looked = true;
                self.unreadable = None;
                self.complain(&listing.others);
                self.listed(listing, now)
            }
            Event::Unreadable(reason) => {
                self.looked = true;
                if self.unreadable.as_ref() != Some(&reason) {
                    tracing::error!("sockets of pluggable components cannot be listed: {reason}");
                }
                self.unreadable = Some(reason);
                Vec::new()
            }
            Event::Answered(question, answer) => {
                self.answered(&question, answer, now);
                Vec::new()
            }
        }
    }

    fn listed(&mut self, listing: Listing, now: Instant) -> Vec<Question> {
        self.sockets.retain(|path, _| {
            let stays = listing.sockets.contains_key(path);
            if !stays {
                tracing::info!(socket = %path.display(), "the socket of a pluggable component is gone");
            }
            stays
        });
        let mut questions = Vec::new();
        for (path, stamp) in listing.sockets {
            let socket = self.sockets.entry(path.clone());
            let socket = socket.or_insert_with(|| Socket::new(stamp));
            if socket.begins_to_be_asked(stamp, now) {
                questions.push(Question { path, stamp });
            }
        }
        questions
    }

    fn complain(&mut self, others: &[PathBuf]) {
        self.complained.retain(|path| others.contains(path));
        for path in others {
            if self.complained.insert(path.clone()) {
                let file = path.display();
                tracing::warn!(%file, "not used as a pluggable component: it is no socket, has no name, or is one too many");
            }
        }
    }

    fn answered(&mut self, question: &Question, answer: Result<Services, String>, now: Instant) {
        // Another one may have taken its place meanwhile, and is asked on its own.
        let socket = self.sockets.get_mut(&question.path);
        let Some(socket) = socket.filter(|socket| socket.stamp == question.stamp) else {
            return;
        };
        socket.asking = false;
        match answer {
            Ok(services) => {
                self.arrivals += 1;
                socket.arrivals = self.arrivals;
                socket.backoff.reset();
                tracing::info!(socket = %question.path.display(), ?services, "pluggable component found");
                socket.answer = Answer::Services(services);
            }
            Err(reason) => {
                if !socket.failed_of(&reason) {
                    tracing::error!(socket = %question.path.display(), "pluggable component cannot be used, it is asked again: {reason}");
                }
                let again = now + socket.backoff.pause();
                socket.answer = Answer::Failed { reason, again };
            }
        }
    }

    /// What is known of a type. Of several sockets of one name the last serves, in the order of their files, as
    /// upstream has it.
    pub(crate) fn find(&self, block: Block, name: &str, folder: &Path) -> Found<'_> {
        if !self.looked {
            return Found::Unknown;
        }
        let sockets = self.sockets.iter().rev();
        let of_name = sockets.filter(|(path, _)| name_of(path).as_deref() == Some(name));
        let mut missing = None;
        for (path, socket) in of_name {
            match &socket.answer {
                Answer::Awaited => return Found::Unknown,
                Answer::Services(services) if services::serve(services, block) => {
                    return Found::Served(path, services);
                }
                Answer::Services(_) => {
                    let reason = format!(
                        "the pluggable component {} serves no {}",
                        path.display(),
                        block.noun()
                    );
                    missing.get_or_insert(reason);
                }
                Answer::Failed { reason, .. } => {
                    let reason = format!(
                        "the pluggable component {} cannot be used: {reason}",
                        path.display()
                    );
                    missing.get_or_insert(reason);
                }
            }
        }
        Found::Missing(missing.unwrap_or_else(|| self.nothing(name, folder)))
    }

    fn nothing(&self, name: &str, folder: &Path) -> String {
        let folder = folder.display();
        match &self.unreadable {
            Some(reason) => {
                format!("pluggable components cannot be looked for in {folder}: {reason}")
            }
            None => format!("there is no socket of a pluggable component {name:?} in {folder}"),
        }
    }

    /// The types that are served, and for each a number that grows when its process comes.
    pub(crate) fn arrivals(&self) -> BTreeMap<String, u64> {
        let mut types = BTreeMap::new();
        for (path, socket) in &self.sockets {
            let (Answer::Services(services), Some(name)) = (&socket.answer, name_of(path)) else {
                continue;
            };
            for block in services::blocks().filter(|block| services::serve(services, *block)) {
                types.insert(format!("{}.{name}", block.prefix()), socket.arrivals);
            }
        }
        types
    }
}

impl Socket {
    fn new(stamp: Stamp) -> Self {
        Self {
            stamp,
            answer: Answer::Awaited,
            asking: false,
            backoff: Backoff::new(PAUSES.0, PAUSES.1),
            arrivals: 0,
        }
    }

    /// Whether to ask it now, which is then under way. Of another one in its place nothing is known.
    fn begins_to_be_asked(&mut self, stamp: Stamp, now: Instant) -> bool {
        if self.stamp != stamp {
            *self = Self::new(stamp);
        }
        let due = match &self.answer {
            Answer::Awaited => true,
            Answer::Services(_) => false,
            Answer::Failed { again, .. } => *again <= now,
        };
        let begins = due && !self.asking;
        self.asking |= begins;
        begins
    }

    fn failed_of(&self, why: &str) -> bool {
        matches!(&self.answer, Answer::Failed { reason, .. } if reason == why)
    }
}

#[cfg(test)]
mod tests;
