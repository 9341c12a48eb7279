//! Members one after another, for as long as a subscription lasts.

use std::sync::Arc;
use std::time::Duration;

use krafka::KrafkaError;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::link::Link;
use crate::member::{Duty, End, Member, pause};

/// How long partitions may take to be assigned before a subscription counts as begun: a group waits for its slowest member.
const PATIENCE: Duration = Duration::from_secs(30);

/// Begins, and gives what consumes.
///
/// # Errors
/// It cannot begin.
pub(crate) async fn begin(
    link: &Arc<Link>,
    duty: Duty,
    stop: CancellationToken,
) -> Result<impl Future<Output = ()> + Send + use<>, KrafkaError> {
    let first = Member::join(link, duty.clone(), PATIENCE).await?;
    let link = Arc::clone(link);
    Ok(async move {
        let mut member = Some(first);
        let mut failures = 0;
        while !stop.is_cancelled() {
            let end = match member.take() {
                Some(member) => member.run(&stop).await,
                None => match again(&link, &duty, &stop).await {
                    Some(Ok(joined)) => {
                        member = Some(joined);
                        continue;
                    }
                    Some(Err(error)) => End::Failed(error),
                    None => return,
                },
            };
            match end {
                End::Stopped => return,
                End::Repartitioned => {
                    tracing::info!(topics = ?duty.topics, "topics of Kafka have other partitions");
                    failures = 0;
                }
                End::Failed(error) => {
                    failures = failed(&duty, failures, &error);
                    wait(pause(link.config().group.reconnect, failures), &stop).await;
                }
            }
        }
    })
}

/// Joins, unless it is stopped.
async fn again(
    link: &Link,
    duty: &Duty,
    stop: &CancellationToken,
) -> Option<Result<Member, KrafkaError>> {
    let joining = Member::join(link, duty.clone(), PATIENCE);
    stop.run_until_cancelled(joining).await
}

fn failed(duty: &Duty, failures: u32, error: &KrafkaError) -> u32 {
    if failures == 0 {
        tracing::error!(topics = ?duty.topics, "a subscription of Kafka begins anew: {error}");
    }
    failures.saturating_add(1)
}

async fn wait(pause: Duration, stop: &CancellationToken) {
    let _stopped = stop.run_until_cancelled(sleep(pause)).await;
}
