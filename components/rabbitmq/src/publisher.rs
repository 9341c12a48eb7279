//! Messages on their way to the broker.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::ShortString,
};
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};

use crate::{
    failure::{Failure, answered},
    link::{Link, jittered},
    topology::{Step, declare},
};

/// How often a message is tried: as often as by upstream.
const ATTEMPTS: u32 = 3;
/// The pause before the second attempt: what failed first is mostly a channel that the broker had closed.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How long all attempts may take together.
const PATIENCE: Duration = Duration::from_secs(60);
/// Channels for messages. Those of one topic share one, which keeps their order; what one of them breaks is not broken
/// for the others.
const LANES: usize = 8;
/// What one channel remembers to have declared; more is declared again.
const MOST_DECLARED: usize = 1024;

/// What the broker has to say before a message counts as published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// Nothing: it is published once it is sent.
    None,
    /// That the broker has it.
    Confirmed,
    /// That the broker has it, and that it has a queue. One message at a time is on a channel: the broker does not say
    /// which one it gives back.
    Routed,
}

/// A message.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) exchange: ShortString,
    pub(crate) key: ShortString,
    pub(crate) data: Bytes,
    pub(crate) properties: BasicProperties,
}

/// Publishes.
#[derive(Debug)]
pub(crate) struct Publisher {
    link: Arc<Link>,
    word: Word,
    /// The longest pause between two attempts.
    wait: Duration,
    lanes: [Lane; LANES],
}

/// A channel, once there is one.
#[derive(Debug, Default)]
struct Lane(Arc<Mutex<Option<Open>>>);

#[derive(Debug)]
struct Open {
    channel: Channel,
    /// The names of what was declared on it.
    declared: HashSet<ShortString>,
}

impl Publisher {
    pub(crate) fn new(link: Arc<Link>, word: Word, wait: Duration) -> Self {
        Self {
            link,
            word,
            wait,
            lanes: Default::default(),
        }
    }

    /// Publishes a message, after `needed`, which has the name `name`, has been declared.
    ///
    /// # Errors
    /// Nobody knows whether it is published, unless the broker refuses.
    ///
    /// # Cancel safety
    /// A publication that is dropped may have happened.
    pub(crate) async fn publish(
        &self,
        message: &Outgoing,
        needed: &(ShortString, Step),
    ) -> Result<(), Failure> {
        let attempts = self.attempts(message, needed);
        timeout(PATIENCE, attempts).await.unwrap_or_else(|_| {
            let text = format!("publishing: no answer of the broker within {PATIENCE:?}");
            Err(Failure::Unavailable(text))
        })
    }

    async fn attempts(
        &self,
        message: &Outgoing,
        needed: &(ShortString, Step),
    ) -> Result<(), Failure> {
        let mut attempt = 1;
        loop {
            let error = match self.once(message, needed).await {
                Err(Failure::Unavailable(error)) if attempt < ATTEMPTS => error,
                outcome => return outcome,
            };
            tracing::debug!(attempt, error, "publishing failed and is tried again");
            self.forget(&needed.0).await;
            let first = if attempt == 1 { FIRST_PAUSE } else { self.wait };
            sleep(jittered(1, first, self.wait)).await;
            attempt += 1;
        }
    }

    async fn once(&self, message: &Outgoing, needed: &(ShortString, Step)) -> Result<(), Failure> {
        let lane = &self.lanes[lane_of(&needed.0)].0;
        let mut lane = Arc::clone(lane).lock_owned().await;
        let channel = self.ready(&mut lane, needed).await?;
        let _alone = match self.word {
            Word::Routed => Some(lane),
            Word::None | Word::Confirmed => {
                drop(lane);
                None
            }
        };
        let options = BasicPublishOptions {
            mandatory: self.word == Word::Routed,
            ..BasicPublishOptions::default()
        };
        let sent = channel.basic_publish(
            message.exchange.clone(),
            message.key.clone(),
            options,
            &message.data,
            message.properties.clone(),
        );
        let publishing = async { sent.await?.await };
        judge(self.word, &answered("publishing", publishing).await?)
    }

    /// A channel of the lane that is open, at whose broker `needed` is there.
    async fn ready(
        &self,
        lane: &mut Option<Open>,
        (name, step): &(ShortString, Step),
    ) -> Result<Channel, Failure> {
        let open = match lane.take().filter(|open| open.channel.status().connected()) {
            Some(open) => open,
            None => self.open().await?,
        };
        let open = lane.insert(open);
        if !open.declared.contains(name) {
            declare(&open.channel, std::slice::from_ref(step)).await?;
            if open.declared.len() >= MOST_DECLARED {
                open.declared.clear();
            }
            open.declared.insert(name.clone());
        }
        Ok(open.channel.clone())
    }

    /// Has the lane of `name` declare again: what was declared may be gone.
    async fn forget(&self, name: &ShortString) {
        let mut lane = self.lanes[lane_of(name)].0.lock().await;
        if let Some(open) = lane.as_mut() {
            open.declared.clear();
        }
    }

    async fn open(&self) -> Result<Open, Failure> {
        let channel = self.link.channel().await?;
        if self.word != Word::None {
            let select = channel.confirm_select(ConfirmSelectOptions::default());
            answered("asking for confirms", select).await?;
        }
        Ok(Open {
            channel,
            declared: HashSet::new(),
        })
    }
}

fn lane_of(name: &ShortString) -> usize {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    (hasher.finish() % LANES as u64) as usize
}

/// Whether what the broker said is what was asked for.
fn judge(word: Word, said: &Confirmation) -> Result<(), Failure> {
    let failed = |why: &str| Err(Failure::Unavailable(format!("publishing: {why}")));
    match (word, said) {
        (Word::None, Confirmation::NotRequested) => Ok(()),
        (_, Confirmation::Ack(None)) => Ok(()),
        (_, Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned))) => failed(
            &format!("the broker gave the message back: {}", returned.reply_text),
        ),
        (_, Confirmation::Nack(None)) => failed("the broker did not take the message"),
        (_, Confirmation::NotRequested) => failed("the broker did not confirm the message"),
    }
}

#[cfg(test)]
mod tests {
    use lapin::Confirmation;

    use super::{Failure, Word, judge};

    #[test]
    fn a_missing_confirm_is_a_failure() {
        let confirmed = Word::Confirmed;
        assert_eq!(judge(confirmed, &Confirmation::Ack(None)), Ok(()));
        for said in [Confirmation::Nack(None), Confirmation::NotRequested] {
            let judged = judge(confirmed, &said);
            assert!(matches!(judged, Err(Failure::Unavailable(_))), "{said:?}");
        }
        assert_eq!(judge(Word::None, &Confirmation::NotRequested), Ok(()));
    }
}
