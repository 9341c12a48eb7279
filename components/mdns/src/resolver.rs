//! The resolver: answers for this sidecar, asks for others, remembers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::select_all;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use trilby_components::name_resolution::{Instance, NameResolver, Query, ResolveError};
use trilby_components::registry::InitError;

use crate::cache::{Cache, Full};
use crate::links::{self, Link, Links, Reach};
use crate::message::{LARGEST, Message};
use crate::service::{Service, service_name};

/// How long an application is looked for, as upstream does.
const BROWSE_LIMIT: Duration = Duration::from_secs(1);
/// Time between two questions for the same application meanwhile: a packet may be lost.
const BROWSE_PAUSE: Duration = Duration::from_millis(250);
/// Time between two looks at the interfaces, and two questions for each application in use, as upstream has it.
const REFRESH: Duration = Duration::from_secs(30);
/// Time from the first announcement to the second (RFC 6762, section 8.3).
const SECOND_ANNOUNCEMENT: Duration = Duration::from_secs(1);
/// Pause after an interface failed.
const LINK_PAUSE: Duration = Duration::from_secs(1);

/// The settings of the component.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// The names of the interfaces to use (`eth0`); empty is all of them. Upstream has no such setting.
    pub interfaces: Vec<String>,
}

/// Finds sidecars by multicast DNS.
#[derive(Debug)]
pub struct MdnsResolver {
    settings: Settings,
    service: Service,
    /// How far the address of this sidecar is of use.
    reach: Reach,
    links: Mutex<Arc<Links>>,
    cache: Mutex<Cache>,
    /// Counts what was learnt.
    news: watch::Sender<u64>,
    announced: AtomicBool,
    withdrawn: AtomicBool,
}

impl MdnsResolver {
    /// Announces `instance` on every interface. Call it within a tokio runtime.
    ///
    /// # Errors
    /// The host of `instance` is no address, its application's id is no name of DNS, or there is no interface.
    pub fn new(instance: &Instance, settings: Settings) -> Result<Self, InitError> {
        let address: IpAddr = instance.host.parse().map_err(|_| {
            InitError::Invalid(format!("mdns needs an IP address, not {:?}", instance.host))
        })?;
        let host = hostname::get().unwrap_or_default();
        let host = host.to_string_lossy();
        let host = if host.is_empty() { "localhost" } else { &host };
        let place = (host, std::process::id());
        let service = Service::new(&instance.app_id, place, (address, instance.internal_port));
        let resolver = Self {
            service,
            reach: if address.is_loopback() {
                Reach::Host
            } else {
                Reach::Link
            },
            settings,
            links: Mutex::default(),
            cache: Mutex::default(),
            news: watch::Sender::new(0),
            announced: AtomicBool::new(false),
            withdrawn: AtomicBool::new(false),
        };
        let announcement = resolver.service.announcement().encode();
        let announcement = announcement.map_err(|error| InitError::Invalid(error.to_string()))?;
        resolver
            .look_at_interfaces()
            .map_err(|error| InitError::Unavailable(format!("multicast DNS: {error}")))?;
        resolver.tell(&announcement);
        Ok(resolver)
    }

    fn look_at_interfaces(&self) -> std::io::Result<()> {
        let places = links::places(&self.settings.interfaces)?;
        let before = Arc::clone(&self.links.lock());
        let opened = links::open(places, &before)?;
        *self.links.lock() = Arc::new(opened);
        Ok(())
    }

    /// Says something of this sidecar on every link.
    fn tell(&self, bytes: &[u8]) {
        for link in self.links.lock().values() {
            link.send(bytes, self.reach);
        }
    }

    /// Asks for an application on every link.
    fn ask(&self, app_id: &str) -> Result<(), ResolveError> {
        let question = Message::question(service_name(app_id)).encode();
        let question = question.map_err(|error| ResolveError(error.to_string()))?;
        for link in self.links.lock().values() {
            link.send(&question, Reach::Link);
        }
        Ok(())
    }

    async fn browse(&self, app_id: &str) -> Result<SocketAddr, ResolveError> {
        let mut news = self.news.subscribe();
        loop {
            let now = Instant::now();
            let due = self.cache.lock().want(app_id, now, BROWSE_PAUSE);
            if due.map_err(|Full| ResolveError(format!("{app_id}: {Full}")))? {
                self.ask(app_id)?;
            }
            drop(tokio::time::timeout(BROWSE_PAUSE, news.changed()).await);
            if let Some(found) = self.cache.lock().next(app_id, Instant::now()) {
                return Ok(found);
            }
        }
    }

    /// Answers and learns on one link until it fails.
    async fn serve(&self, link: &Link) -> std::io::Error {
        let mut buffer = vec![0; LARGEST];
        loop {
            match link.receive(&mut buffer).await {
                Ok((length, from)) => self.receive(link, &buffer[..length], from),
                Err(error) => return error,
            }
        }
    }

    fn receive(&self, link: &Link, bytes: &[u8], from: SocketAddr) {
        let Ok(message) = Message::decode(bytes) else {
            return;
        };
        if message.response {
            if self.cache.lock().learn(&message, Instant::now()) {
                self.news.send_modify(|count| *count += 1);
            }
            return;
        }
        // A probe asks whether a name is free: instances of sidecars are told apart by their process.
        if message.probe || self.withdrawn.load(Ordering::Acquire) {
            return;
        }
        for question in &message.questions {
            let answer = self.service.answer(question, &message);
            let Some(Ok(bytes)) = answer.map(|answer| answer.encode()) else {
                continue;
            };
            if question.unicast {
                link.send_to(&bytes, from, self.reach);
            } else {
                link.send(&bytes, self.reach);
            }
        }
    }

    /// Answers and learns on all links until one of them fails.
    async fn serve_all(&self) {
        let links = Arc::clone(&self.links.lock());
        let serving = links.values().map(|link| Box::pin(self.serve(link)));
        let (error, _, _) = select_all(serving).await;
        tracing::debug!(%error, "multicast DNS: an interface is looked at again");
        tokio::time::sleep(LINK_PAUSE).await;
    }

    async fn announce_again(&self) {
        if !self.announced.load(Ordering::Acquire) {
            tokio::time::sleep(SECOND_ANNOUNCEMENT).await;
            self.announced.store(true, Ordering::Release);
            if let Ok(bytes) = self.service.announcement().encode()
                && !self.withdrawn.load(Ordering::Acquire)
            {
                self.tell(&bytes);
            }
        }
        std::future::pending().await
    }

    fn refresh(&self) {
        let wanted = self.cache.lock().refresh(Instant::now());
        for app_id in wanted {
            if let Err(error) = self.ask(&app_id) {
                tracing::debug!(app_id, %error, "not asked for again");
            }
        }
    }
}

#[async_trait]
impl NameResolver for MdnsResolver {
    async fn resolve(&self, query: &Query<'_>) -> Result<String, ResolveError> {
        let known = self.cache.lock().next(query.app_id, Instant::now());
        if let Some(address) = known {
            return Ok(address.to_string());
        }
        let found = tokio::time::timeout(BROWSE_LIMIT, self.browse(query.app_id)).await;
        let missing = || ResolveError(format!("couldn't find service: {}", query.app_id));
        let found = found.unwrap_or_else(|_| Err(missing()))?;
        Ok(found.to_string())
    }

    fn forget(&self, app_id: &str, _namespace: &str) {
        self.cache.lock().forget(app_id);
    }

    async fn keep(&self) -> ResolveError {
        let mut ticks = tokio::time::interval_at(Instant::now() + REFRESH, REFRESH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let announcing = self.announce_again();
        tokio::pin!(announcing);
        loop {
            tokio::select! {
                () = self.serve_all() => {}
                () = &mut announcing => {}
                _ = ticks.tick() => self.refresh(),
            }
            if let Err(error) = self.look_at_interfaces() {
                return ResolveError(format!("multicast DNS: {error}"));
            }
        }
    }

    async fn withdraw(&self) {
        if !self.withdrawn.swap(true, Ordering::AcqRel)
            && let Ok(bytes) = self.service.goodbye().encode()
        {
            self.tell(&bytes);
        }
    }
}
