//! Several messages at once.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tracing::warn;
use trilby_components::pubsub::{Message, Unhandled};
use trilby_pubsub::answer::Verdict;
use trilby_pubsub::subscription::Subscription;
use trilby_resiliency::{Failure, run};

use super::{Consumer, Routed, Undelivered};
use crate::metrics::Processed;

/// A message of a batch.
struct Item {
    /// Its place in the batch.
    index: usize,
    routed: Routed,
    /// Of the last attempt.
    verdict: Verdict,
}

type Results = Vec<Result<(), Unhandled>>;

impl Consumer {
    pub(super) async fn handle_batch(&self, messages: Vec<Message>) -> Results {
        let subscription = self.subscription();
        let mut results: Results = vec![Ok(()); messages.len()];
        let mut by_path: BTreeMap<String, Vec<Item>> = BTreeMap::new();
        for (index, message) in messages.into_iter().enumerate() {
            match self.judge(&subscription, message) {
                Ok(routed) => by_path.entry(routed.path.clone()).or_default().push(Item {
                    index,
                    routed,
                    verdict: Verdict::Retry("it was not delivered".to_owned()),
                }),
                Err(undeliverable) => {
                    results[index] = self.dispose(&subscription, undeliverable).await;
                }
            }
        }
        for items in by_path.into_values() {
            for (index, result) in self.deliver_batch(&subscription, items).await {
                results[index] = result;
            }
        }
        results
    }

    /// Delivers, and again what was not taken, as far as the policy goes.
    async fn deliver_batch(
        &self,
        subscription: &Subscription,
        items: Vec<Item>,
    ) -> Vec<(usize, Result<(), Unhandled>)> {
        let items = Mutex::new(items);
        let attempt = |_| async {
            // Nobody else has them meanwhile: attempts come one after the other, and one that is given up is lost.
            let mut batch = std::mem::take(&mut *items.lock());
            let outcome = self.attempt_batch(subscription, &mut batch).await;
            *items.lock() = batch;
            outcome
        };
        let outcome = run(self.policy(subscription), attempt).await;
        let reason = outcome.err().map(|Undelivered(reason)| reason);
        let mut results = Vec::new();
        for Item {
            index,
            routed,
            verdict,
        } in items.into_inner()
        {
            let result = match verdict {
                Verdict::Success => Ok(()),
                Verdict::Drop(_) if subscription.dead_letter.is_none() => Ok(()),
                Verdict::Drop(_) => self.bury(subscription, routed.message).await,
                Verdict::Retry(own) => {
                    let reason = reason.clone().unwrap_or(own);
                    self.give_up(subscription, routed.message, reason).await
                }
            };
            results.push((index, result));
        }
        results
    }

    async fn attempt_batch(
        &self,
        subscription: &Subscription,
        batch: &mut [Item],
    ) -> Result<(), Failure<Undelivered>> {
        let waits = |item: &Item| matches!(item.verdict, Verdict::Retry(_));
        let waiting: Vec<&Routed> = batch
            .iter()
            .filter(|item| waits(item))
            .map(|item| &item.routed)
            .collect();
        let topic = waiting
            .first()
            .map_or("", |one| &one.message.topic)
            .to_owned();
        let (verdicts, delivered) = self
            .receiver
            .deliver_all(&self.parts, subscription, &waiting)
            .await;
        let place = (&*subscription.pubsub, &*topic);
        self.parts.metrics.processed_batch(place, delivered.start);
        for (item, verdict) in batch.iter_mut().filter(|item| waits(item)).zip(verdicts) {
            let processed = match &verdict {
                Verdict::Success => Processed::Success,
                Verdict::Drop(reason) => {
                    let id = item.routed.event.id();
                    warn!("dropping pub/sub event {id} of topic {topic}: {reason}");
                    Processed::Drop
                }
                Verdict::Retry(_) => Processed::Retry,
            };
            self.parts.metrics.processed_in_batch(place, processed, 1);
            item.verdict = verdict;
        }
        match delivered.verdict {
            Verdict::Success | Verdict::Drop(_) => Ok(()),
            Verdict::Retry(reason) => {
                let reason = format!("messages of topic {topic} were not taken: {reason}");
                warn!("{reason}");
                Err(match delivered.code {
                    Some(code) => Failure::code(code, Undelivered(reason)),
                    None => Failure::again(Undelivered(reason)),
                })
            }
        }
    }
}
