use std::pin::pin;

use futures_util::{FutureExt as _, StreamExt as _};

use super::*;
use crate::ledger::Ledger;

fn states(names: impl IntoIterator<Item = (&'static str, Outcome)>) -> Vec<(String, State)> {
    let state = |outcome| State {
        uid: "u".to_owned(),
        generation: 1,
        outcome,
    };
    let names = names.into_iter();
    names
        .map(|(name, outcome)| (name.to_owned(), state(outcome)))
        .collect()
}

fn failed(reason: &str) -> Outcome {
    Outcome::Failed {
        reason: reason.to_owned(),
        older_in_force: true,
    }
}

/// A message in short.
fn said(message: Option<ReportRequest>) -> Vec<String> {
    let states = message.expect("the stream goes on").states.into_iter();
    let short = |state: ResourceState| {
        let outcome = match state.outcome.expect("an outcome") {
            resource_state::Outcome::Pending(_) => "pending".to_owned(),
            resource_state::Outcome::Loaded(_) => "loaded".to_owned(),
            resource_state::Outcome::Failed(failed) => failed.message,
            resource_state::Outcome::Removed(_) => "removed".to_owned(),
        };
        format!("{} {} {outcome}", state.kind, state.name)
    };
    states.map(short).collect()
}

#[tokio::test(start_paused = true)]
async fn everything_is_said_first_and_then_what_changes_once() {
    let ledger = Ledger::kept();
    ledger.replace("Component", || {
        states([("a", Outcome::Loaded), ("b", failed("no host"))])
    });
    let mut messages = pin!(messages(ledger.subscribe().unwrap()));
    assert_eq!(
        said(messages.next().await),
        ["Component a loaded", "Component b no host"]
    );
    assert!(messages.next().now_or_never().is_none(), "nothing changed");

    ledger.replace("Component", || states([("b", Outcome::Pending)]));
    ledger.replace("Component", || states([("b", Outcome::Loaded)]));
    assert_eq!(
        said(messages.next().await),
        ["Component a removed", "Component b loaded"]
    );
    ledger.replace("Component", || states([("b", Outcome::Pending)]));
    ledger.replace("Component", || states([("b", Outcome::Loaded)]));
    let nothing = tokio::time::timeout(Duration::from_secs(60), messages.next()).await;
    assert!(nothing.is_err(), "it stands where it stood");
}

#[tokio::test(start_paused = true)]
async fn a_new_stream_begins_with_everything() {
    let ledger = Ledger::kept();
    ledger.replace("Component", || states([("a", Outcome::Loaded)]));
    for _ in 0..2 {
        let mut messages = pin!(messages(ledger.subscribe().unwrap()));
        assert_eq!(said(messages.next().await), ["Component a loaded"]);
    }
}

#[tokio::test(start_paused = true)]
async fn messages_are_bounded_in_number_and_length() {
    let ledger = Ledger::kept();
    let many = (0..=BATCH).map(|number| {
        let (_, state) = states([("", failed(&"ü".repeat(LONGEST_REASON)))]).remove(0);
        (format!("{number:04}"), state)
    });
    ledger.replace("Component", || many);
    let mut messages = pin!(messages(ledger.subscribe().unwrap()));
    let first = messages.next().await.expect("a message");
    assert_eq!(first.states.len(), BATCH);
    for state in first.states {
        let Some(resource_state::Outcome::Failed(failed)) = state.outcome else {
            panic!("it failed");
        };
        assert_eq!(failed.message.len(), LONGEST_REASON);
    }
    assert_eq!(messages.next().await.expect("the rest").states.len(), 1);
}
