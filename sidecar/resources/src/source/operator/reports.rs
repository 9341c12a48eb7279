//! Tells the operator what became of the resources it gave.
//!
//! The stream holds no queue: whenever the operator is ready for more, where resources stand is compared with what was
//! said, so that changes coalesce by resource.

use std::{collections::VecDeque, time::Duration};

use futures_util::{Stream, stream};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tonic::{Code, Status};
use trilby_grpc::Backoff;
use trilby_proto::trilby::operator::v1::{
    Failed, Loaded, Pending, Removed, ReportRequest, ResourceState,
    resource_reports_client::ResourceReportsClient, resource_state,
};

use super::{Operator, in_words};
use crate::ledger::{Outcome, State, States};

/// Changes within this time are told together: most resources go from pending to loaded within it.
const GATHER: Duration = Duration::from_millis(250);
/// States in one message.
const BATCH: usize = 256;
/// Bytes of a reason; longer ones are cut.
const LONGEST_REASON: usize = 1024;
/// When an operator that knows no reports is asked again, unless it comes back before: it may have been replaced.
const UNKNOWN: Duration = Duration::from_secs(30 * 60);
/// A stream that lived this long was healthy, so the next attempt waits only the first pause.
const HEALTHY: Duration = Duration::from_secs(30);

/// The longest pause between two attempts to find the replica that counts.
const LONGEST_SEARCH: Duration = Duration::from_secs(5);

/// How the operator is reached.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// On the connection that resources come by.
    Shared,
    /// On one of its own, which may lead to another replica.
    Own,
}

/// Reports for as long as the process lives.
pub(super) async fn follow(operator: Operator) {
    let Some(states) = operator.ledger.subscribe() else {
        return;
    };
    let mut openings = operator.openings.subscribe();
    let mut backoff = Backoff::default();
    let mut search = Backoff::new(Duration::from_millis(500), LONGEST_SEARCH);
    let mut known = true;
    let mut way = Way::Shared;
    loop {
        openings.mark_unchanged();
        let opened = Instant::now();
        let tried = std::mem::replace(&mut way, Way::Shared);
        let status = report(&operator, tried, states.clone()).await;
        if status.code() == Code::Unimplemented {
            if std::mem::take(&mut known) {
                tracing::debug!("the operator takes no reports about resources");
            }
            tokio::select! {
                () = sleep(UNKNOWN) => {}
                // The sender lives in `operator`.
                Ok(()) = openings.changed() => sleep(backoff.pause()).await,
            }
            continue;
        }
        known = true;
        if opened.elapsed() >= HEALTHY {
            backoff.reset();
            search.reset();
        }
        let pause = match status.code() {
            Code::FailedPrecondition if tried == Way::Shared => {
                way = Way::Own;
                continue;
            }
            Code::FailedPrecondition => search.pause(),
            _ => backoff.pause(),
        };
        tracing::debug!(
            status = in_words(&status),
            ?pause,
            "lost the stream of reports to the operator"
        );
        sleep(pause).await;
    }
}

/// Reports until the stream ends; why it did.
async fn report(operator: &Operator, way: Way, states: watch::Receiver<States>) -> Status {
    let channel = match way {
        Way::Shared => operator.channel.clone(),
        Way::Own => operator.channel.anew(),
    };
    let mut client = ResourceReportsClient::new(channel);
    match client.report(messages(states)).await {
        Ok(_) => Status::unavailable("the operator ended the stream"),
        Err(status) => status,
    }
}

/// What there is to say: all, then what changes.
fn messages(states: watch::Receiver<States>) -> impl Stream<Item = ReportRequest> + Send + 'static {
    let teller = Teller {
        states,
        said: States::new(),
        queue: VecDeque::new(),
        begun: Begun::Not,
    };
    stream::unfold(teller, async |mut teller| {
        let message = teller.next().await?;
        Some((message, teller))
    })
}

/// One stream's side.
struct Teller {
    states: watch::Receiver<States>,
    /// What the operator knows once the queue is empty.
    said: States,
    /// What is left of the last comparison: at most one for each resource.
    queue: VecDeque<ResourceState>,
    begun: Begun,
}

#[derive(PartialEq)]
enum Begun {
    Not,
    Yes,
}

impl Teller {
    /// The next message; `None` when there will be none.
    async fn next(&mut self) -> Option<ReportRequest> {
        while self.queue.is_empty() {
            if std::mem::replace(&mut self.begun, Begun::Yes) == Begun::Yes {
                self.states.changed().await.ok()?;
                sleep(GATHER).await;
            }
            let now = self.states.borrow_and_update().clone();
            self.queue = differences(&self.said, &now).collect();
            self.said = now;
        }
        let batch = self.queue.len().min(BATCH);
        Some(ReportRequest {
            states: self.queue.drain(..batch).collect(),
        })
    }
}

/// What one who knows `old` must be told to know `new`.
fn differences<'a>(old: &'a States, new: &'a States) -> impl Iterator<Item = ResourceState> + 'a {
    let gone = old.iter().filter(|(id, _)| !new.contains_key(*id));
    let changed = new
        .iter()
        .filter(|(id, state)| old.get(*id) != Some(*state));
    let gone =
        gone.map(|(id, state)| message(id, state, resource_state::Outcome::Removed(Removed {})));
    gone.chain(changed.map(|(id, state)| message(id, state, (&state.outcome).into())))
}

fn message(
    (kind, name): &(&'static str, String),
    state: &State,
    outcome: resource_state::Outcome,
) -> ResourceState {
    ResourceState {
        kind: (*kind).to_owned(),
        name: name.clone(),
        uid: state.uid.clone(),
        generation: state.generation,
        outcome: Some(outcome),
    }
}

impl From<&Outcome> for resource_state::Outcome {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Pending => Self::Pending(Pending {}),
            Outcome::Loaded => Self::Loaded(Loaded {}),
            Outcome::Failed {
                reason,
                older_in_force,
            } => Self::Failed(Failed {
                message: reason[..reason.floor_char_boundary(LONGEST_REASON)].to_owned(),
                older_in_force: *older_in_force,
            }),
        }
    }
}

#[cfg(test)]
mod tests;
