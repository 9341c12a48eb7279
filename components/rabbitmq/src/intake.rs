//! Messages on their way from the broker: handed over, and settled after their handlers.
//!
//! The broker keeps what is not settled, and gives it again when the channel is gone; so a handler may see a message
//! twice, and none is lost.

mod outage;
mod settling;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use lapin::{
    BasicProperties, Channel, Consumer,
    message::Delivery,
    options::{BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions},
    types::{FieldTable, ShortString},
};
use outage::Outage;
pub(crate) use settling::{Refused, Settling};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use trilby_components::pubsub::Unhandled;

use crate::{
    failure::{ANSWER, Failure, answered},
    link::Link,
    topology::{Step, declare},
};

/// Messages that the broker gives ahead where the settings name no number: upstream has no bound then, and as much
/// memory as the queue is long.
const AHEAD: u16 = 256;
/// How long beginning may take: as long as upstream waits.
const BEGINNING: Duration = Duration::from_secs(60);
/// The longest name of a consumer.
const LONGEST_TAG: usize = 255;

/// A message.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) data: Bytes,
    pub(crate) properties: BasicProperties,
}

/// Takes a message.
pub(crate) type Take =
    Arc<dyn Fn(Incoming) -> BoxFuture<'static, Result<(), Unhandled>> + Send + Sync>;

/// How many messages are handed over at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Concurrency {
    /// One, in the queue's order.
    Single,
    /// As many as the broker gives ahead.
    Parallel,
}

/// A queue to read.
pub(crate) struct Intake {
    pub(crate) link: Arc<Link>,
    /// What is declared before.
    pub(crate) topology: Vec<Step>,
    pub(crate) queue: ShortString,
    pub(crate) concurrency: Concurrency,
    /// Messages that the broker gives ahead; 0 for [`AHEAD`].
    pub(crate) prefetch: u16,
    pub(crate) settling: Settling,
    /// The pause before a lost broker is looked for, at first.
    pub(crate) wait: Duration,
    pub(crate) take: Take,
}

/// A consumer at work.
pub(crate) struct Open {
    channel: Channel,
    consumer: Consumer,
}

enum End {
    Stopped,
    Lost(String),
}

impl Intake {
    /// Begins to consume, when the broker is there.
    ///
    /// # Errors
    /// It refuses, or is away for [`BEGINNING`].
    pub(crate) async fn begin(&self, stop: &CancellationToken) -> Result<Open, Failure> {
        let end = Instant::now() + BEGINNING;
        let mut outage = Outage::new(self.wait);
        loop {
            let pause = match self.open().await {
                Err(Failure::Unavailable(error)) => outage.goes_on(&self.queue, &error),
                outcome => return outcome,
            };
            let late = Instant::now() + pause >= end;
            if late || stop.run_until_cancelled(sleep(pause)).await.is_none() {
                let text = format!("queue {} could not be consumed", self.queue);
                return Err(Failure::Unavailable(text));
            }
        }
    }

    async fn open(&self) -> Result<Open, Failure> {
        let channel = self.link.channel().await?;
        declare(&channel, &self.topology).await?;
        let ahead = channel.basic_qos(self.ahead(), BasicQosOptions::default());
        answered("limiting what the broker gives ahead", ahead).await?;
        let consume = channel.basic_consume(
            self.queue.clone(),
            tag(&self.queue),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let what = format!("consuming queue {}", self.queue);
        let consumer = answered(&what, consume).await?;
        Ok(Open { channel, consumer })
    }

    fn ahead(&self) -> u16 {
        if self.prefetch == 0 {
            AHEAD
        } else {
            self.prefetch
        }
    }

    /// Consumes until it is stopped, with a new channel whenever one is lost; then waits for what is being handled.
    pub(crate) async fn run(self, first: Open, stop: CancellationToken) {
        let mut handling = FuturesUnordered::new();
        let mut outage = Outage::new(self.wait);
        let mut open = Some(first);
        while let Some(consumer) = open.take() {
            let pause = match self.listen(consumer, &mut handling, &stop).await {
                End::Stopped => break,
                End::Lost(error) => outage.goes_on(&self.queue, &error),
            };
            open = self
                .reopened(pause, &mut outage, &mut handling, &stop)
                .await;
        }
        while handling.next().await.is_some() {}
    }

    /// Hands over what comes.
    async fn listen<'a>(
        &'a self,
        mut open: Open,
        handling: &mut FuturesUnordered<BoxFuture<'a, ()>>,
        stop: &CancellationToken,
    ) -> End {
        let most = match self.concurrency {
            Concurrency::Single => 1,
            Concurrency::Parallel => self.ahead().into(),
        };
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    retire(open).await;
                    return End::Stopped;
                }
                Some(()) = handling.next(), if !handling.is_empty() => {}
                next = open.consumer.next(), if handling.len() < most => match next {
                    Some(Ok(delivery)) => {
                        let handled = self.handle(delivery, open.channel.clone(), stop.clone());
                        handling.push(Box::pin(handled));
                    }
                    Some(Err(error)) => return End::Lost(error.to_string()),
                    None => return End::Lost("the broker ended it".to_owned()),
                },
            }
        }
    }

    /// The next consumer; `None` once it is stopped. What is being handled goes on meanwhile.
    async fn reopened<'a>(
        &'a self,
        mut pause: Duration,
        outage: &mut Outage,
        handling: &mut FuturesUnordered<BoxFuture<'a, ()>>,
        stop: &CancellationToken,
    ) -> Option<Open> {
        loop {
            let reopening = sleep(pause).then(|()| self.open());
            tokio::pin!(reopening);
            let opened = loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return None,
                    Some(()) = handling.next(), if !handling.is_empty() => {}
                    opened = &mut reopening => break opened,
                }
            };
            match opened {
                Ok(open) => {
                    outage.ends(&self.queue);
                    return Some(open);
                }
                Err(error) => pause = outage.goes_on(&self.queue, &error.to_string()),
            }
        }
    }

    /// Hands over one message, and settles it. The channel stays for as long as that takes.
    async fn handle(&self, mut delivery: Delivery, channel: Channel, stop: CancellationToken) {
        let incoming = Incoming {
            data: std::mem::take(&mut delivery.data).into(),
            properties: std::mem::take(&mut delivery.properties),
        };
        if self.settling.before(&delivery).await {
            let taken = (self.take)(incoming).await;
            self.settling
                .after(&self.queue, &delivery, taken, &stop)
                .await;
        }
        drop(channel);
    }
}

/// Ends a consumer, and gives back what it was given ahead.
async fn retire(mut open: Open) {
    let tag = open.consumer.tag();
    let cancel = open
        .channel
        .basic_cancel(tag, BasicCancelOptions::default());
    if let Err(error) = answered("ending a consumer", cancel).await {
        // The channel goes with the last message that is being handled, and the rest goes back with it.
        tracing::debug!(%error, "a consumer did not end");
        return;
    }
    let back = async {
        while let Some(Ok(delivery)) = open.consumer.next().await {
            let options = BasicNackOptions {
                requeue: true,
                ..BasicNackOptions::default()
            };
            if delivery.nack(options).await.is_err() {
                return;
            }
        }
    };
    if timeout(ANSWER, back).await.is_err() {
        tracing::debug!("what was given ahead goes back with the channel");
    }
}

/// A consumer's name, as upstream forms it; the end of it is what no other consumer has.
fn tag(queue: &ShortString) -> ShortString {
    let tag = format!("{queue}-{}", uuid::Uuid::new_v4());
    let mut start = tag.len().saturating_sub(LONGEST_TAG);
    while !tag.is_char_boundary(start) {
        start += 1;
    }
    tag[start..].into()
}

#[cfg(test)]
mod tests {
    use super::tag;

    #[test]
    fn the_name_of_a_consumer_fits_and_ends_in_what_is_its_own() {
        let short = tag(&"queue".into());
        assert!(short.as_str().starts_with("queue-"), "{short}");
        let long = "ä".repeat(127);
        let (one, other) = (tag(&long.as_str().into()), tag(&long.as_str().into()));
        assert!(one.as_str().len() <= 255 && one != other, "{one} {other}");
    }
}
