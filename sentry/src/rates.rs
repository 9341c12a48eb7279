//! How often one identity may ask, from one address.
//!
//! Replicas of one application share an identity and have addresses of their own, so that one that asks without end
//! takes nothing from the others. Identities are counted after they are proved: nobody can use up another's.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher as _,
    net::IpAddr,
    num::NonZeroU32,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use trilby_identity::SpiffeId;

/// The most identities that are counted at once, 17 bytes each: as many as a table of 16,384 holds before it grows. More
/// than this in a few seconds go uncounted.
const MAX_COUNTED: usize = 14 * 1024;

/// How much may be asked for at once: what is allowed in this time.
const BURST: Duration = Duration::from_secs(10);

/// How often those who have not asked lately are forgotten, at most.
const FORGET: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Rates {
    /// In what time an identity regains one request.
    regain: Duration,
    hasher: RandomState,
    began: Instant,
    counted: Mutex<Counted>,
}

struct Counted {
    /// When each has regained everything, in nanoseconds since the beginning: one number says how much is left.
    whole_at: HashMap<u64, u64>,
    forgot: Instant,
}

impl Rates {
    /// So many requests a minute for each.
    pub(crate) fn new(per_minute: NonZeroU32) -> Self {
        let began = Instant::now();
        let counted = Counted {
            whole_at: HashMap::new(),
            forgot: began,
        };
        Self {
            regain: Duration::from_mins(1) / per_minute.get(),
            hasher: RandomState::new(),
            began,
            counted: Mutex::new(counted),
        }
    }

    /// Whether `id` may ask now, and counts it if so.
    pub(crate) fn admit(&self, id: &SpiffeId, from: Option<IpAddr>) -> bool {
        let now = nanoseconds(self.began.elapsed());
        let who = self.hasher.hash_one((id.as_str(), from));
        let mut counted = self.counted.lock();
        if counted.whole_at.len() >= MAX_COUNTED && !counted.whole_at.contains_key(&who) {
            counted.forget(now);
            if counted.whole_at.len() >= MAX_COUNTED {
                return true;
            }
        }
        let whole_at = counted.whole_at.entry(who).or_insert(now);
        let after = (*whole_at).max(now) + nanoseconds(self.regain);
        let admitted = after - now <= nanoseconds(self.most());
        if admitted {
            *whole_at = after;
        }
        admitted
    }

    /// What may be missing. At least one request: a limit below that would admit nobody.
    fn most(&self) -> Duration {
        BURST.max(self.regain)
    }
}

impl Counted {
    fn forget(&mut self, now: u64) {
        if self.forgot.elapsed() < FORGET {
            return;
        }
        self.forgot = Instant::now();
        self.whole_at.retain(|_, whole_at| *whole_at > now);
    }
}

/// Enough for centuries.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> SpiffeId {
        format!("spiffe://public/ns/shop/{name}").parse().unwrap()
    }

    fn rates(per_minute: u32) -> Rates {
        Rates::new(NonZeroU32::new(per_minute).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn one_identity_from_one_address_is_bounded_and_regains() {
        let rates = rates(60);
        let (here, there) = (Some([192, 0, 2, 1].into()), Some([192, 0, 2, 2].into()));
        let cart = id("cart");
        for _ in 0..10 {
            assert!(rates.admit(&cart, here));
        }
        assert!(!rates.admit(&cart, here));
        assert!(rates.admit(&cart, there), "another replica");
        assert!(rates.admit(&id("till"), here), "another application");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(rates.admit(&cart, here) && rates.admit(&cart, here));
        assert!(!rates.admit(&cart, here));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_those_who_rest_are_forgotten() {
        let rates = rates(6);
        for number in 0..MAX_COUNTED + 100 {
            assert!(rates.admit(&id(&number.to_string()), None));
        }
        assert_eq!(rates.counted.lock().whole_at.len(), MAX_COUNTED);
        assert!(!rates.admit(&id("0"), None), "who is counted stays so");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(rates.admit(&id("new"), None));
        assert_eq!(rates.counted.lock().whole_at.len(), 1);
    }
}
