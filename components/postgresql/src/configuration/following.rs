//! One subscription: what a channel notifies of a selection, over a connection that is made again when it is lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{debug, info, warn};
use trilby_components::configuration::{Change, Items, Selection};

use super::listening::{Dial, Listening};
use super::notification::change;
use super::settings::Channel;
use crate::pool::{Pool, jittered};

/// The first pause between two attempts to come back; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Following {
    dial: Arc<Dial>,
    /// Closed with the component.
    pool: Arc<Pool>,
    channel: Channel,
    selection: Selection,
    /// `None` while it is lost.
    listening: Option<Listening>,
}

impl Following {
    pub(super) fn new(
        (dial, pool): (Arc<Dial>, Arc<Pool>),
        (channel, selection): (Channel, Selection),
        listening: Listening,
    ) -> Self {
        Self {
            dial,
            pool,
            channel,
            selection,
            listening: Some(listening),
        }
    }

    /// The next change; none once the component is closed.
    pub(super) async fn next(&mut self) -> Option<Change> {
        loop {
            let Some(listening) = &mut self.listening else {
                self.listening = Some(self.come_back().await?);
                return Some(Change::Missed);
            };
            match listening.next().await {
                Ok(payload) => {
                    if let Some(items) = self.items(&payload) {
                        return Some(Change::Items(items));
                    }
                }
                Err(failure) => {
                    let (address, error) = (self.dial.address(), failure.reason());
                    warn!(
                        address,
                        error, "a subscription lost PostgreSQL, it comes back by itself"
                    );
                    self.listening = None;
                }
            }
        }
    }

    fn items(&self, payload: &str) -> Option<Items> {
        match change(payload) {
            Ok((key, item)) => self.selection.has(&key).then(|| Items::from([(key, item)])),
            Err(reason) => {
                let channel = &self.channel;
                warn!(%channel, reason, "a notification is no change of configuration, it is left out");
                None
            }
        }
    }

    // Exclusively, since a connection is not shared between threads.
    async fn come_back(&mut self) -> Option<Listening> {
        let mut attempt = 1;
        loop {
            if self.pool.is_closed() {
                return None;
            }
            let address = self.dial.address();
            match self.dial.listen(&self.channel).await {
                Ok(listening) => {
                    info!(address, "a subscription found PostgreSQL again");
                    return Some(listening);
                }
                Err(failure) => {
                    let error = failure.reason();
                    debug!(address, error, "a subscription does not find PostgreSQL");
                }
            }
            sleep(jittered(attempt, FIRST_PAUSE, LONGEST_PAUSE)).await;
            attempt = attempt.saturating_add(1);
        }
    }
}
