//! A batch with its handler, until all of it is taken or its partition is given up.

use std::sync::Arc;

use async_trait::async_trait;
use krafka::consumer::ConsumerRecord;
use tokio::time::{Instant, sleep};
use trilby_components::pubsub::Unhandled;

use crate::partitions::{Batch, Key};
use crate::retry::Retry;

/// Whom records are handed to.
#[async_trait]
pub(crate) trait Taker: Send + Sync {
    /// Takes records of one partition; results come in their order, one for each.
    async fn take(&self, records: &[(i64, ConsumerRecord)]) -> Vec<Result<(), Unhandled>>;
}

/// A batch is settled.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) key: Key,
    /// Which assignment of the partition it belonged to.
    pub(super) assignment: u64,
    /// Everything before it was taken; `None` if nothing was.
    pub(super) next: Option<i64>,
}

/// Hands over a batch, and again what of it was not taken.
pub(super) async fn hand_over(
    taker: Arc<dyn Taker>,
    batch: Batch<ConsumerRecord>,
    retry: Retry,
) -> Finished {
    let began = Instant::now();
    let first = batch.records.first().map(|(offset, _)| *offset);
    let last = batch.records.last().map(|(offset, _)| *offset);
    let finished = |next| Finished {
        key: batch.key.clone(),
        assignment: batch.assignment,
        next,
    };
    let mut left = batch.records;
    let mut failures = 0;
    loop {
        let results = taker.take(&left).await;
        let reason = not_taken(&mut left, results);
        let Some((offset, _)) = left.first() else {
            return finished(last.map(|last| last + 1));
        };
        failures += 1;
        let pause = retry.after(failures, began.elapsed());
        let (topic, partition) = &batch.key;
        if pause.over {
            tracing::error!(
                topic,
                partition,
                offset,
                failures,
                "a message was not taken, and its partition waits for it: {reason}"
            );
        } else {
            tracing::warn!(
                topic,
                partition,
                offset,
                failures,
                "a message was not taken, and comes again: {reason}"
            );
        }
        tokio::select! {
            biased;
            () = batch.revoked.cancelled() => {
                return finished(Some(*offset).filter(|offset| Some(*offset) > first));
            }
            () = sleep(pause.spread()) => {}
        }
    }
}

/// Leaves what was not taken, and says why the first was not. A result that is not there counts as none.
fn not_taken(
    records: &mut Vec<(i64, ConsumerRecord)>,
    results: Vec<Result<(), Unhandled>>,
) -> String {
    let mut results = results.into_iter();
    let mut reason = None;
    records.retain(|_| match results.next() {
        Some(Ok(())) => false,
        Some(Err(error)) => {
            reason.get_or_insert(error.0);
            true
        }
        None => true,
    });
    reason.unwrap_or_else(|| "no result".to_owned())
}
