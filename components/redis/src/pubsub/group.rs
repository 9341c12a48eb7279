//! The consumer group of a stream, as one consumer of it sees it.

mod members;
mod pending;

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
    time::Duration,
};

use ::redis::{Cmd, RedisError, RedisResult, Script, Value};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use trilby_components::state::StateError;

use super::entry::{Entry, Id};
use crate::{
    connection::Connection,
    link::{Link, RETURN, Repeat, pause},
};

static SET_IDLE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("set_idle.lua")));
static LEAVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("leave.lua")));

/// How long a consumer that ends waits for the server: the others remove it as well, later.
const FAREWELL: Duration = Duration::from_secs(5);

/// A consumer of a stream.
pub(super) struct Group {
    link: Arc<Link>,
    topic: String,
    name: String,
    consumer: String,
    /// How long an entry lies idle until anybody may take it over; `None` for ever.
    patience: Option<Duration>,
}

/// Whether an error says that there is no such group, or no such stream.
pub(super) fn is_no_group(error: &RedisError) -> bool {
    error.code() == Some("NOGROUP")
}

impl Group {
    /// A new consumer of the group `name`.
    pub(super) fn new(
        link: Arc<Link>,
        topic: String,
        name: String,
        patience: Option<Duration>,
    ) -> Self {
        Self {
            consumer: members::new_name(&name),
            link,
            topic,
            name,
            patience,
        }
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// Makes the group, and the stream, if they are not there: from the first entry on.
    pub(super) async fn create(&self) -> Result<(), StateError> {
        let create = async |mut connection| self.create_over(&mut connection).await;
        self.link.run(Repeat::Safe, create).await
    }

    /// As [`Group::create`], over this connection.
    pub(super) async fn create_over(&self, connection: &mut Connection) -> RedisResult<()> {
        let mut create = ::redis::cmd("XGROUP");
        create.arg("CREATE").arg(&self.topic).arg(&self.name);
        let created = create.arg("0").arg("MKSTREAM");
        match created.query_async(connection).await {
            Err(error) if error.code() == Some("BUSYGROUP") => Ok(()),
            other => other,
        }
    }

    /// The command that reads new entries, and waits for one so long.
    pub(super) fn reading(&self, most: usize, block: Duration) -> Cmd {
        let mut read = ::redis::cmd("XREADGROUP");
        read.arg("GROUP").arg(&self.name).arg(&self.consumer);
        read.arg("COUNT").arg(most);
        // Zero would be for ever.
        read.arg("BLOCK").arg(milliseconds(block).max(1));
        read.arg("STREAMS").arg(&self.topic).arg(">");
        read
    }

    /// Settles an entry. While the server is away this waits for it, until `stop`.
    pub(super) async fn acknowledge(&self, id: Id, stop: &CancellationToken) {
        let mut attempt = 0;
        loop {
            // Once it is stopped, this is the last attempt.
            let last = stop.is_cancelled();
            match self.settle(&[id]).await {
                Ok(()) => return,
                Err(StateError::Unavailable(_)) if !last && !self.link.is_closed() => {}
                Err(error) => {
                    let topic = &self.topic;
                    warn!(topic, %id, "a message was handled but not settled, it comes again: {error}");
                    return;
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(pause(RETURN, attempt)) => {}
            }
            attempt = attempt.saturating_add(1);
        }
    }

    async fn settle(&self, ids: &[Id]) -> Result<(), StateError> {
        let mut settle = ::redis::cmd("XACK");
        settle.arg(&self.topic).arg(&self.name);
        for id in ids {
            settle.arg(id.to_string());
        }
        self.run(&settle).await.map(drop)
    }

    /// Takes over what is due from `from` on, and says where to go on. Nothing while the server is away.
    pub(super) async fn claim(
        &self,
        from: Id,
        most: usize,
        held: &BTreeSet<Id>,
    ) -> (Vec<Entry>, Option<Id>) {
        let Some(patience) = self.patience else {
            return (Vec::new(), None);
        };
        let found = pending::take_over(self, patience, (from, most), held).await;
        let found = found.unwrap_or_else(|error| {
            debug!(topic = self.topic, %error, "nothing can be taken over");
            (Vec::new(), None)
        });
        if found.1.is_none() {
            members::sweep(self, patience).await;
        }
        found
    }

    /// Keeps these from others; gives those that are not this consumer's any more.
    pub(super) async fn renew(&self, ids: &[Id]) -> Vec<Id> {
        self.set_idle(ids, Duration::ZERO).await
    }

    /// Lets anybody take these over.
    pub(super) async fn release(&self, ids: &[Id]) {
        self.set_idle(ids, self.patience.unwrap_or_default()).await;
    }

    async fn set_idle(&self, ids: &[Id], idle: Duration) -> Vec<Id> {
        let set = async |mut connection| {
            let mut set = SET_IDLE.key(&self.topic);
            set.arg(&self.name).arg(&self.consumer);
            set.arg(milliseconds(idle));
            for id in ids {
                set.arg(id.to_string());
            }
            set.invoke_async::<Vec<String>>(&mut connection).await
        };
        match self.link.run(Repeat::Safe, set).await {
            Ok(lost) => lost.iter().filter_map(|id| Id::parse(id)).collect(),
            Err(error) => {
                debug!(topic = self.topic, %error, "Redis does not know what is held");
                Vec::new()
            }
        }
    }

    /// Ends this consumer, unless something of it is left.
    pub(super) async fn leave(&self) {
        match timeout(FAREWELL, self.remove(&self.consumer)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(topic = self.topic, %error, "a consumer is not removed"),
            Err(late) => debug!(topic = self.topic, %late, "a consumer is not removed"),
        }
    }

    /// Removes a consumer unless it holds something.
    async fn remove(&self, consumer: &str) -> Result<(), StateError> {
        let remove = async |mut connection| {
            let mut leave = LEAVE.key(&self.topic);
            let leave = leave.arg(&self.name).arg(consumer);
            leave.invoke_async::<()>(&mut connection).await
        };
        self.link.run(Repeat::Safe, remove).await
    }

    async fn run(&self, command: &Cmd) -> Result<Value, StateError> {
        let run = async |mut connection: Connection| command.query_async(&mut connection).await;
        self.link.run(Repeat::Safe, run).await
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
