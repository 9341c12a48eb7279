//! A list, and what changes of it from then on; begun anew when it cannot be followed.
//!
//! As `kube::runtime::watcher`, whose events it gives, with two differences: an event that cannot be read costs a new list
//! (there it would be missed for ever), and a list need not say its version (there it is refused: servers in front of the API
//! server's may leave it out, and client-go minds neither).

use std::{collections::VecDeque, fmt::Debug, time::Duration};

use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, WatchEvent, WatchParams},
    runtime::watcher::{Error, Event, Result},
};
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

/// Objects per page of a list: a whole list never stands in memory as text.
const PAGE: u32 = 100;
/// The API server ends a watch after this many seconds; it goes on with the next.
const WATCH_SECONDS: u32 = 290;
/// A watch of which nothing is heard for this long is dead, whatever the connection says.
const SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 15);
/// Pause after a watch that ended without a word, so that such do not follow each other at full speed.
const PAUSE: Duration = Duration::from_secs(1);
/// The version of a watch is no longer kept: only a list helps.
const GONE: u16 = 410;

struct Changes<K> {
    api: Api<K>,
    list: ListParams,
    watch: WatchParams,
    /// Events of the page that was read last: a page at most.
    read: VecDeque<Event<K>>,
    next: Next<K>,
}

/// What is to be done once `read` is empty.
enum Next<K> {
    List,
    Page { token: String },
    Watch { version: String },
    Events(Watching<K>),
}

struct Watching<K> {
    events: BoxStream<'static, kube::Result<WatchEvent<K>>>,
    /// Of the last event.
    version: String,
    heard: bool,
}

/// The objects with the label, or all, and what becomes of them. Never ends; after an error it goes on when it is polled
/// again.
pub(super) fn changes<K>(
    api: Api<K>,
    label: Option<&str>,
) -> impl Stream<Item = Result<Event<K>>> + Send + use<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let label = label.map(str::to_owned);
    let changes = Changes {
        api,
        list: ListParams {
            label_selector: label.clone(),
            limit: Some(PAGE),
            ..ListParams::default()
        },
        watch: WatchParams {
            label_selector: label,
            timeout: Some(WATCH_SECONDS),
            ..WatchParams::default()
        },
        read: VecDeque::new(),
        next: Next::List,
    };
    stream::unfold(changes, async |mut changes| {
        Some((changes.event().await, changes))
    })
}

impl<K> Changes<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    async fn event(&mut self) -> Result<Event<K>> {
        loop {
            if let Some(event) = self.read.pop_front() {
                return Ok(event);
            }
            // Whatever fails is begun anew with a list, unless it says otherwise.
            match std::mem::replace(&mut self.next, Next::List) {
                Next::List => {
                    self.read.push_back(Event::Init);
                    self.page(None).await?;
                }
                Next::Page { token } => self.page(Some(token)).await?,
                Next::Watch { version } => self.begin(version).await?,
                Next::Events(watching) => {
                    if let Some(event) = self.hear(watching).await? {
                        return Ok(event);
                    }
                }
            }
        }
    }

    async fn page(&mut self, token: Option<String>) -> Result<()> {
        let mut params = self.list.clone();
        params.continue_token = token;
        let page = self.api.list(&params).await;
        let page = page.inspect_err(|_| self.read.clear());
        let page = page.map_err(Error::InitialListFailed)?;
        self.read
            .extend(page.items.into_iter().map(Event::InitApply));
        let more = page.metadata.continue_.filter(|token| !token.is_empty());
        self.next = match more {
            Some(token) => Next::Page { token },
            None => {
                self.read.push_back(Event::InitDone);
                let version = page.metadata.resource_version.unwrap_or_default();
                Next::Watch { version }
            }
        };
        Ok(())
    }

    async fn begin(&mut self, version: String) -> Result<()> {
        match self.api.watch(&self.watch, &version).await {
            Ok(events) => {
                self.next = Next::Events(Watching {
                    events: events.boxed(),
                    version,
                    heard: false,
                });
                Ok(())
            }
            Err(error) => {
                if !super::is_status(&error, GONE) {
                    self.next = Next::Watch { version };
                }
                Err(Error::WatchStartFailed(error))
            }
        }
    }

    /// The next event, if the next thing heard is one of an object.
    async fn hear(&mut self, mut watching: Watching<K>) -> Result<Option<Event<K>>> {
        // Silence is an end as good as any.
        let heard = timeout(SILENCE, watching.events.next()).await;
        let Some(heard) = heard.unwrap_or_default() else {
            if !watching.heard {
                sleep(PAUSE).await;
            }
            self.next = Next::Watch {
                version: watching.version,
            };
            return Ok(None);
        };
        let (version, event) = match heard {
            Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                (object.resource_version(), Some(Event::Apply(object)))
            }
            Ok(WatchEvent::Deleted(object)) => {
                (object.resource_version(), Some(Event::Delete(object)))
            }
            Ok(WatchEvent::Bookmark(mark)) => (Some(mark.metadata.resource_version), None),
            Ok(WatchEvent::Error(status)) => {
                if status.code != GONE {
                    self.next = Next::Watch {
                        version: watching.version,
                    };
                }
                return Err(Error::WatchError(status));
            }
            Err(error @ kube::Error::SerdeError(_)) => return Err(Error::WatchFailed(error)),
            Err(error) => {
                self.next = Next::Watch {
                    version: watching.version,
                };
                return Err(Error::WatchFailed(error));
            }
        };
        watching.version = version.unwrap_or(watching.version);
        watching.heard = true;
        self.next = Next::Events(watching);
        Ok(event)
    }
}
