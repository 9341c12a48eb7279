//! What is known of the applications that were asked for. Pure: time is told.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;

use crate::message::{Data, Message, Record};
use crate::service::service_name;

/// How long an address is true, as upstream has it.
pub(crate) const ADDRESS_LIFETIME: Duration = Duration::from_secs(60);
/// An application that nobody asked for during this time is no longer looked for.
const INTEREST: Duration = Duration::from_secs(120);
/// Applications that are remembered at once. Beyond that, new ones are not looked for.
const MOST_APPS: usize = 1024;
/// Addresses of one application that are remembered at once, IPv4 and IPv6 each.
const MOST_ADDRESSES: usize = 128;

/// Too many applications are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MOST_APPS} other applications are being looked for")]
pub(crate) struct Full;

/// The applications that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    apps: HashMap<String, App>,
}

#[derive(Debug)]
struct App {
    v4: Vec<Address>,
    v6: Vec<Address>,
    /// Counts the answers, for taking turns.
    turn: usize,
    asked: Instant,
    queried: Option<Instant>,
}

#[derive(Debug)]
struct Address {
    at: SocketAddr,
    until: Instant,
}

impl Cache {
    /// The next address of an application, IPv4 first; its addresses take turns.
    pub(crate) fn next(&mut self, app_id: &str, now: Instant) -> Option<SocketAddr> {
        let app = self.apps.get_mut(app_id)?;
        app.asked = now;
        app.expire(now);
        let addresses = if app.v4.is_empty() { &app.v6 } else { &app.v4 };
        let picked = addresses.get(app.turn.checked_rem(addresses.len())?)?.at;
        app.turn = app.turn.wrapping_add(1);
        Some(picked)
    }

    /// Listens for an application from now on, and says whether to ask for it: nobody did within `pause`.
    pub(crate) fn want(
        &mut self,
        app_id: &str,
        now: Instant,
        pause: Duration,
    ) -> Result<bool, Full> {
        if !self.apps.contains_key(app_id) {
            self.make_room(now)?;
        }
        let app = self
            .apps
            .entry(app_id.to_owned())
            .or_insert_with(|| App::new(now));
        app.asked = now;
        let due = app.queried.is_none_or(|at| at + pause <= now);
        if due {
            app.queried = Some(now);
        }
        Ok(due)
    }

    fn make_room(&mut self, now: Instant) -> Result<(), Full> {
        if self.apps.len() >= MOST_APPS {
            self.apps.retain(|_, app| {
                app.expire(now);
                !(app.v4.is_empty() && app.v6.is_empty())
            });
        }
        if self.apps.len() >= MOST_APPS {
            return Err(Full);
        }
        Ok(())
    }

    /// The applications to ask for again, so that what is known of them stays true. The others are dropped.
    pub(crate) fn refresh(&mut self, now: Instant) -> Vec<String> {
        self.apps.retain(|_, app| app.asked + INTEREST > now);
        self.apps.keys().cloned().collect()
    }

    /// Forgets where an application listens.
    pub(crate) fn forget(&mut self, app_id: &str) {
        self.apps.remove(app_id);
    }

    /// Takes in a message; whether anything new is known then.
    pub(crate) fn learn(&mut self, message: &Message, now: Instant) -> bool {
        let mut news = false;
        for record in message.records() {
            let Data::Srv { port, target } = &record.data else {
                continue;
            };
            let Some(app) = self.app_of(message, record) else {
                continue;
            };
            for address in addresses(message, target) {
                let at = SocketAddr::new(address, *port);
                if record.ttl == 0 {
                    app.remove(at);
                } else {
                    news |= app.add(at, now);
                }
            }
        }
        news
    }

    /// The application that an instance belongs to: its name and its text have to agree.
    fn app_of(&mut self, message: &Message, location: &Record) -> Option<&mut App> {
        let app_id = message.records().find_map(|record| match &record.data {
            Data::Txt(texts) if record.name == location.name => texts.first(),
            _ => None,
        })?;
        let instance = location.name.strip_suffix(&service_name(app_id))?;
        if !instance.ends_with('.') {
            return None;
        }
        self.apps.get_mut(app_id)
    }
}

/// The first IPv4 and the first IPv6 address of a host. One of the link alone is of no use without the link.
fn addresses<'a>(message: &'a Message, host: &'a str) -> impl Iterator<Item = IpAddr> + use<'a> {
    let of_host = move || message.records().filter(move |record| record.name == host);
    let v4 = of_host().find_map(|record| match record.data {
        Data::A(address) => Some(IpAddr::V4(address)),
        _ => None,
    });
    let v6 = of_host().find_map(|record| match record.data {
        Data::Aaaa(address) if !address.is_unicast_link_local() => Some(IpAddr::V6(address)),
        _ => None,
    });
    v4.into_iter().chain(v6)
}

impl App {
    fn new(now: Instant) -> Self {
        Self {
            v4: Vec::new(),
            v6: Vec::new(),
            turn: 0,
            asked: now,
            queried: None,
        }
    }

    fn list(&mut self, at: SocketAddr) -> &mut Vec<Address> {
        match at {
            SocketAddr::V4(_) => &mut self.v4,
            SocketAddr::V6(_) => &mut self.v6,
        }
    }

    fn add(&mut self, at: SocketAddr, now: Instant) -> bool {
        self.expire(now);
        let until = now + ADDRESS_LIFETIME;
        let list = self.list(at);
        if let Some(known) = list.iter_mut().find(|known| known.at == at) {
            known.until = until;
            return false;
        }
        if list.len() >= MOST_ADDRESSES {
            return false;
        }
        list.push(Address { at, until });
        true
    }

    fn remove(&mut self, at: SocketAddr) {
        self.list(at).retain(|known| known.at != at);
    }

    fn expire(&mut self, now: Instant) {
        self.v4.retain(|address| address.until > now);
        self.v6.retain(|address| address.until > now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{ADDRESS_LIFETIME, Cache, Full, MOST_APPS};
    use crate::message::{Data, Message};
    use crate::service::Service;

    const PAUSE: Duration = Duration::from_millis(200);

    fn service(address: &str) -> Service {
        Service::new("orders", ("box", 42), (address.parse().unwrap(), 50002))
    }

    fn announcement(address: &str) -> Message {
        service(address).announcement()
    }

    fn cache(now: Instant) -> Cache {
        let mut cache = Cache::default();
        assert_eq!(cache.want("orders", now, PAUSE), Ok(true));
        cache
    }

    fn next(cache: &mut Cache, now: Instant) -> Option<String> {
        cache.next("orders", now).map(|address| address.to_string())
    }

    #[test]
    fn addresses_take_turns_ipv4_first() {
        let now = Instant::now();
        let mut cache = cache(now);
        for address in ["fd00::1", "10.0.0.1", "10.0.0.2"] {
            assert!(cache.learn(&announcement(address), now));
            assert!(!cache.learn(&announcement(address), now), "known already");
        }
        let picked: Vec<_> = (0..3).filter_map(|_| next(&mut cache, now)).collect();
        assert_eq!(
            picked,
            ["10.0.0.1:50002", "10.0.0.2:50002", "10.0.0.1:50002"]
        );
    }

    #[test]
    fn an_ipv6_address_is_written_so_that_it_can_be_dialled() {
        let now = Instant::now();
        let mut cache = cache(now);
        cache.learn(&announcement("fd00::1"), now);
        assert_eq!(next(&mut cache, now).as_deref(), Some("[fd00::1]:50002"));
    }

    #[test]
    fn an_address_expires_unless_it_is_heard_again() {
        let now = Instant::now();
        let mut cache = cache(now);
        cache.learn(&announcement("10.0.0.1"), now);
        let later = now + ADDRESS_LIFETIME / 2;
        cache.learn(&announcement("10.0.0.1"), later);
        assert!(next(&mut cache, now + ADDRESS_LIFETIME).is_some());
        assert_eq!(next(&mut cache, later + ADDRESS_LIFETIME), None);
    }

    #[test]
    fn a_sidecar_that_says_goodbye_is_gone_at_once() {
        let now = Instant::now();
        let mut cache = cache(now);
        cache.learn(&announcement("10.0.0.1"), now);
        cache.learn(&service("10.0.0.1").goodbye(), now);
        assert_eq!(next(&mut cache, now), None);
    }

    #[test]
    fn applications_that_nobody_asked_for_are_not_remembered() {
        let now = Instant::now();
        let mut cache = Cache::default();
        assert!(!cache.learn(&announcement("10.0.0.1"), now));
        assert_eq!(next(&mut cache, now), None);
    }

    #[test]
    fn name_and_text_of_an_instance_have_to_agree() {
        let now = Instant::now();
        let mut cache = cache(now);
        for (name, text) in [
            ("box.xorders.local.", "orders"),
            ("box.orders.local.", "other"),
        ] {
            let mut message = announcement("10.0.0.1");
            for record in &mut message.answers {
                match &mut record.data {
                    Data::Srv { .. } => record.name = name.to_owned(),
                    Data::Txt(texts) => {
                        record.name = name.to_owned();
                        *texts = vec![text.to_owned()];
                    }
                    _ => {}
                }
            }
            assert!(!cache.learn(&message, now), "{name} {text}");
        }
    }

    #[test]
    fn many_askers_ask_once_in_a_while() {
        let now = Instant::now();
        let mut cache = cache(now);
        assert_eq!(cache.want("orders", now + PAUSE / 2, PAUSE), Ok(false));
        assert_eq!(cache.want("orders", now + PAUSE, PAUSE), Ok(true));
    }

    #[test]
    fn only_applications_that_are_still_used_are_refreshed() {
        let now = Instant::now();
        let mut cache = cache(now);
        let later = now + Duration::from_secs(100);
        assert_eq!(cache.want("stock", later, PAUSE), Ok(true));
        assert_eq!(cache.refresh(later + Duration::from_secs(50)), ["stock"]);
    }

    #[test]
    fn a_flood_of_unknown_names_does_not_push_out_what_is_known() {
        let now = Instant::now();
        let mut cache = cache(now);
        cache.learn(&announcement("10.0.0.1"), now);
        for number in 0..3 * MOST_APPS {
            assert!(cache.want(&format!("app-{number}"), now, PAUSE).is_ok());
        }
        assert!(cache.apps.len() <= MOST_APPS);
        assert!(next(&mut cache, now).is_some());
        assert_eq!(
            Full.to_string(),
            "1024 other applications are being looked for"
        );
    }
}
