//! Actors have one host each, and move.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::Instant;

use crate::caller::{Caller, Round};
use crate::evidence::Evidence;
use crate::redis;
use crate::scene::{Scene, eventually, expect, within};

const ACTORS: u32 = 100;
/// Rounds without a failure after which a move is over.
const QUIET_ROUNDS: usize = 3;
/// Limit for a move. The deleted pod has 30 s to end, and placement notices a lost sidecar a few seconds later.
const MOVE: Duration = Duration::from_secs(45);

/// Calls a hundred actors, deletes one of their two hosts, and calls on.
///
/// # Errors
/// If an actor is served by two hosts, a failure outlasts the move, or a count is lost.
pub async fn show(scene: &Scene) -> Result<Evidence> {
    let caller = Caller::of(scene).await?;
    let mut evidence = Evidence::default();
    let mut ledger = Ledger::default();

    let settled = settle(&caller, &mut ledger).await?;
    let again = whole_round(&caller, &mut ledger).await?;
    expect(again.served_by == settled.served_by, || {
        "actors changed their host although nothing happened".to_owned()
    })?;
    evidence.add(format!("{ACTORS} actors, twice: {}", shares(&again)));
    evidence.add("each actor was served by the same host both times");
    evidence.add(in_redis(scene, &again).await?);

    let victim = scene.pod("greeter").await?.name;
    let deletion = ["delete", "pod", &victim, "--wait=false"];
    scene.kubectl(&deletion).await?;
    let moved = until_moved(&caller, &victim, &mut ledger).await?;
    evidence.add(format!(
        "{victim} deleted, it served {}: {}",
        again.share(&victim),
        moved.summary()
    ));
    scene.rolled_out(&["greeter"]).await?;
    let last = settle(&caller, &mut ledger).await?;
    evidence.add(format!("with the new replica: {}", shares(&last)));
    evidence.add(ledger.balance(&last)?);
    Ok(evidence)
}

/// Waits until every call succeeds and both hosts have a share.
async fn settle(caller: &Caller, ledger: &mut Ledger) -> Result<Round> {
    eventually("two replicas share the actors", async || {
        let round = ledger.round(caller).await?;
        no_failure(&round)?;
        expect(round.hosts().len() == 2, || shares(&round))?;
        Ok(round)
    })
    .await
}

async fn whole_round(caller: &Caller, ledger: &mut Ledger) -> Result<Round> {
    let round = ledger.round(caller).await?;
    no_failure(&round)?;
    Ok(round)
}

fn no_failure(round: &Round) -> Result<()> {
    match round.failed.first_key_value() {
        None => Ok(()),
        Some((actor, why)) => anyhow::bail!(
            "{} of {ACTORS} calls failed, for actor {actor}: {why}",
            round.failed.len()
        ),
    }
}

/// How a move went.
struct Move {
    rounds: usize,
    failures: usize,
    last_failure: Option<Duration>,
    first_failure_text: Option<String>,
}

impl Move {
    fn summary(&self) -> String {
        match (&self.last_failure, &self.first_failure_text) {
            (Some(last), Some(text)) => format!(
                "all moved; {} calls in {} rounds failed, the last after {:.1} s ({text})",
                self.failures,
                self.rounds,
                last.as_secs_f32()
            ),
            _ => format!("all moved, and no call in {} rounds failed", self.rounds),
        }
    }
}

/// Calls on until some rounds in a row are without failure and without the deleted host.
async fn until_moved(caller: &Caller, gone: &str, ledger: &mut Ledger) -> Result<Move> {
    let start = Instant::now();
    let mut outcome = Move {
        rounds: 0,
        failures: 0,
        last_failure: None,
        first_failure_text: None,
    };
    let mut quiet = 0;
    within(MOVE, "actors move without lasting failures", async || {
        let round = ledger.round(caller).await?;
        outcome.rounds += 1;
        outcome.failures += round.failed.len();
        if let Some((_, why)) = round.failed.first_key_value() {
            outcome.last_failure = Some(start.elapsed());
            outcome.first_failure_text.get_or_insert(why.to_string());
        }
        let is_quiet = round.failed.is_empty() && round.share(gone) == 0;
        quiet = if is_quiet { quiet + 1 } else { 0 };
        no_failure(&round)?;
        expect(quiet >= QUIET_ROUNDS, || shares(&round))
    })
    .await?;
    Ok(outcome)
}

fn shares(round: &Round) -> String {
    let shares = round.hosts().into_iter();
    let shares: Vec<_> = shares
        .map(|host| format!("{host} serves {}", round.share(host)))
        .collect();
    shares.join(", ")
}

/// An actor's state belongs to the app, the type and the id, not to the host.
async fn in_redis(scene: &Scene, round: &Round) -> Result<String> {
    let (actor, count) = round
        .counts
        .first_key_value()
        .context("no actor answered")?;
    let key = format!("greeter||Counter||{actor}||count");
    let hash = redis::hash(scene, &key).await?;
    expect(hash.get("data") == Some(&count.to_string()), || {
        format!("in Redis, {key} is {hash:?} instead of {count}")
    })?;
    Ok(format!("redis-cli HGETALL '{key}': {hash:?}"))
}

/// Every call ever made of each actor, against what the actor has counted.
#[derive(Default)]
struct Ledger {
    /// What an actor's count was before the first call of this ledger.
    before: BTreeMap<u32, u64>,
    succeeded: BTreeMap<u32, u64>,
    failed: BTreeMap<u32, u64>,
}

impl Ledger {
    async fn round(&mut self, caller: &Caller) -> Result<Round> {
        let round = caller.count(ACTORS).await?;
        self.enter(&round);
        Ok(round)
    }

    fn enter(&mut self, round: &Round) {
        for (actor, count) in &round.counts {
            // A failed call may have counted or not, so an earlier count can only be told from a success.
            self.before.entry(*actor).or_insert(count.saturating_sub(1));
            *self.succeeded.entry(*actor).or_default() += 1;
        }
        for actor in round.failed.keys() {
            *self.failed.entry(*actor).or_default() += 1;
        }
    }

    /// Checks that every success is in the counts, and nothing but successes and failed attempts.
    fn balance(&self, last: &Round) -> Result<String> {
        let entry = |map: &BTreeMap<u32, u64>, actor| map.get(actor).copied().unwrap_or_default();
        for (actor, count) in &last.counts {
            let counted = count - entry(&self.before, actor);
            let least = entry(&self.succeeded, actor);
            let most = least + entry(&self.failed, actor);
            expect((least..=most).contains(&counted), || {
                format!(
                    "actor {actor} counted {counted} calls; {least} succeeded, {most} were made"
                )
            })?;
        }
        let calls: u64 = self.succeeded.values().sum();
        Ok(format!(
            "{calls} calls succeeded, and every one is in the actors' counts"
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn round(count: u64) -> Round {
        serde_json::from_value(json!({
            "served_by": {"0": "a"}, "counts": {"0": count}, "failed": {},
        }))
        .unwrap()
    }

    fn failure() -> Round {
        serde_json::from_value(json!({
            "served_by": {}, "counts": {}, "failed": {"0": {"status": 500}},
        }))
        .unwrap()
    }

    #[test]
    fn counts_that_go_on_balance() {
        let mut ledger = Ledger::default();
        for count in [7, 8, 9] {
            ledger.enter(&round(count));
        }
        assert!(ledger.balance(&round(9)).is_ok());
    }

    #[test]
    fn a_lost_count_is_found() {
        let mut ledger = Ledger::default();
        for count in [7, 8, 1] {
            ledger.enter(&round(count));
        }
        let error = ledger.balance(&round(8)).unwrap_err().to_string();
        assert!(error.contains("counted 2 calls; 3 succeeded"), "{error}");
    }

    #[test]
    fn a_failed_call_may_have_counted() {
        let mut ledger = Ledger::default();
        ledger.enter(&round(1));
        ledger.enter(&failure());
        ledger.enter(&round(3));
        assert!(ledger.balance(&round(3)).is_ok());
        assert!(ledger.balance(&round(2)).is_ok());
        assert!(ledger.balance(&round(4)).is_err());
    }
}
