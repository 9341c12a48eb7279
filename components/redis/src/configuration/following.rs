//! One subscription: a connection that the server tells changed keys over, made again when it is lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{ProtocolVersion, PushInfo, RedisResult};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};
use trilby_components::configuration::{Change, ConfigurationError, Item, Items, Selection};

use super::announcing::announce;
use super::heard::{Heard, News};
use super::read;
use crate::link::{Link, RETURN, pause};

/// How often a silent connection is asked whether it is still there.
const CHECK: Duration = Duration::from_secs(15);
/// How long its answer may take.
const CHECK_LIMIT: Duration = Duration::from_secs(10);
pub(super) struct Following {
    link: Arc<Link>,
    selection: Selection,
    /// `None` while it is lost.
    announced: Option<Announced>,
    /// Read, and not told yet.
    ready: VecDeque<(String, Item)>,
}

/// A connection that changes are announced over.
struct Announced {
    connection: MultiplexedConnection,
    heard: Arc<Heard>,
}

impl Following {
    pub(super) async fn begin(
        link: Arc<Link>,
        selection: Selection,
    ) -> Result<Self, ConfigurationError> {
        let opened = Announced::open(&link, &selection).await;
        let announced = opened.map_err(|error| {
            let address = link.address();
            ConfigurationError::Unavailable(format!(
                "redis store: no changes are announced by redis at {address}: {error}"
            ))
        })?;
        Ok(Self {
            link,
            selection,
            announced: Some(announced),
            ready: VecDeque::new(),
        })
    }

    /// The next change; none once the component is closed.
    pub(super) async fn next(&mut self) -> Option<Change> {
        loop {
            if let Some((key, item)) = self.ready.pop_front() {
                return Some(Change::Items(Items::from([(key, item)])));
            }
            let Some(announced) = &mut self.announced else {
                self.announced = Some(self.come_back().await?);
                return Some(Change::Missed);
            };
            match announced.next().await {
                News::Keys(keys) => self.read(keys).await,
                News::TooMany => return Some(Change::Missed),
                News::Lost => {
                    let address = self.link.address();
                    warn!(
                        address,
                        "a subscription lost Redis, it comes back by itself"
                    );
                    self.announced = None;
                }
            }
        }
    }

    async fn read(&mut self, keys: Vec<Vec<u8>>) {
        match read(&self.link, &keys).await {
            Ok(mut items) => self.ready.extend(keys.iter().map(|key| {
                let key = String::from_utf8_lossy(key).into_owned();
                // As upstream: what is gone is an item without anything.
                let item = items.remove(&key).unwrap_or_default();
                (key, item)
            })),
            Err(error) => {
                warn!(%error, "changed configuration cannot be read, a subscription begins anew");
                self.announced = None;
            }
        }
    }

    async fn come_back(&self) -> Option<Announced> {
        let mut attempt = 0;
        loop {
            if self.link.is_closed() {
                return None;
            }
            match Announced::open(&self.link, &self.selection).await {
                Ok(announced) => {
                    info!(
                        address = self.link.address(),
                        "a subscription found Redis again"
                    );
                    return Some(announced);
                }
                Err(error) => tracing::debug!(%error, "a subscription does not find Redis"),
            }
            sleep(pause(RETURN, attempt)).await;
            attempt = attempt.saturating_add(1);
        }
    }
}

impl Announced {
    async fn open(link: &Link, selection: &Selection) -> RedisResult<Self> {
        let prefix = format!("__keyspace@{}__:", link.database());
        let heard = Arc::new(Heard::default());
        let (hearing, before) = (Arc::clone(&heard), prefix.clone().into_bytes());
        let config = link
            .connection_config()
            .set_push_sender(move |push: PushInfo| {
                hearing.hear(&push, &before);
                Ok::<(), ()>(())
            });
        // Only this protocol has announcements and answers on one connection.
        let mut connection = link.beside(ProtocolVersion::RESP3, &config).await?;
        announce(&mut connection).await;
        if selection.keys.is_empty() {
            connection.psubscribe(format!("{prefix}*")).await?;
        } else {
            let channels = selection.keys.iter().map(|key| format!("{prefix}{key}"));
            connection.subscribe(channels.collect::<Vec<_>>()).await?;
        }
        Ok(Self { connection, heard })
    }

    /// Waits for news, and looks whether the connection is still there meanwhile.
    async fn next(&mut self) -> News {
        loop {
            if let Ok(news) = timeout(CHECK, self.heard.next()).await {
                return news;
            }
            let ping = ::redis::cmd("PING");
            let pong = ping.query_async::<()>(&mut self.connection);
            match timeout(CHECK_LIMIT, pong).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) if super::announcing::is_forbidden(&error) => {}
                Ok(Err(_)) | Err(_) => return News::Lost,
            }
        }
    }
}
