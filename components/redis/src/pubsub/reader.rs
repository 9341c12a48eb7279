//! Reads new entries, over a connection of its own: a command that waits would hold up all others.

use std::{sync::Arc, time::Duration};

use ::redis::{RedisResult, Value};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    entry::{self, Entry},
    group::{Group, is_no_group},
};
use crate::{
    connection::Connection,
    link::{RETURN, pause},
};

/// How long the server waits for an entry: also how long a stopped subscription waits for the end of its read, which is
/// not broken off, so that nobody has to ask what the server gave away meanwhile.
const BLOCK: Duration = Duration::from_secs(1);
/// How much longer a server may be silent that has no limit.
const SILENCE: Duration = Duration::from_secs(10);

pub(super) struct Reader {
    group: Arc<Group>,
    /// `None` while it is lost, and before it is needed.
    connection: Option<Connection>,
    /// Failures in a row.
    failures: u32,
}

impl Reader {
    pub(super) fn new(group: Arc<Group>) -> Self {
        Self {
            group,
            connection: None,
            failures: 0,
        }
    }

    /// New entries, at least one and at most so many; none once it is stopped. It comes back by itself.
    pub(super) async fn read(&mut self, most: usize, stop: &CancellationToken) -> Vec<Entry> {
        while !stop.is_cancelled() {
            let read = self.attempt(most, stop).await;
            match read {
                Ok(entries) => {
                    self.succeeded();
                    if !entries.is_empty() {
                        return entries;
                    }
                }
                Err(error) => {
                    self.connection = None;
                    self.failed(&error);
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = sleep(pause(RETURN, self.failures - 1)) => {}
                    }
                }
            }
        }
        Vec::new()
    }

    async fn attempt(&mut self, most: usize, stop: &CancellationToken) -> RedisResult<Vec<Entry>> {
        let link = self.group.link();
        let mut connection = match &self.connection {
            Some(connection) => connection.clone(),
            None => {
                let coming = async {
                    let mut connection = link.apart().await?;
                    self.group.create_over(&mut connection).await?;
                    RedisResult::Ok(connection)
                };
                tokio::select! {
                    () = stop.cancelled() => return Ok(Vec::new()),
                    connection = coming => self.connection.insert(connection?).clone(),
                }
            }
        };
        // It has to answer well within the time that any command has.
        let limit = link.response_limit();
        let block = limit.map_or(BLOCK, |limit| BLOCK.min(limit / 2));
        let command = self.group.reading(most, block);
        let silence = block + limit.unwrap_or(SILENCE);
        let answer = command.query_async::<Value>(&mut connection);
        match timeout(silence, answer).await {
            Ok(answer) => entry::of_stream(answer?),
            Err(late) => Err(std::io::Error::from(late).into()),
        }
    }

    fn failed(&mut self, error: &::redis::RedisError) {
        self.failures = self.failures.saturating_add(1);
        let topic = self.group.topic();
        if is_no_group(error) {
            warn!(
                topic,
                "the consumer group is gone, and with it what was not handled; it is made again: {error}"
            );
        } else if self.failures == 1 {
            warn!(
                topic,
                "a subscription lost Redis, it comes back by itself: {error}"
            );
        }
    }

    fn succeeded(&mut self) {
        if self.failures > 0 {
            self.failures = 0;
            info!(
                topic = self.group.topic(),
                "a subscription found Redis again"
            );
        }
    }
}
