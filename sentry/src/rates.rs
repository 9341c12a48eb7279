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

/// The most identities that are counted at once, some 40 bytes each. More than this in a few seconds go uncounted.
const MAX_COUNTED: usize = 16 * 1024;

/// How much may be asked for at once: what is allowed in this time.
const BURST: Duration = Duration::from_secs(10);

/// How often those who have not asked lately are forgotten, at most.
const FORGET: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Rates {
    /// What one identity regains in a second.
    per_second: f64,
    hasher: RandomState,
    counted: Mutex<Counted>,
}

struct Counted {
    buckets: HashMap<u64, Bucket>,
    forgot: Instant,
}

struct Bucket {
    left: f64,
    at: Instant,
}

impl Rates {
    /// So many requests a minute for each.
    pub(crate) fn new(per_minute: NonZeroU32) -> Self {
        let counted = Counted {
            buckets: HashMap::new(),
            forgot: Instant::now(),
        };
        Self {
            per_second: f64::from(per_minute.get()) / 60.0,
            hasher: RandomState::new(),
            counted: Mutex::new(counted),
        }
    }

    /// Whether `id` may ask now, and counts it if so.
    pub(crate) fn admit(&self, id: &SpiffeId, from: Option<IpAddr>) -> bool {
        let now = Instant::now();
        let who = self.hasher.hash_one((id.as_str(), from));
        let mut counted = self.counted.lock();
        if counted.buckets.len() >= MAX_COUNTED && !counted.buckets.contains_key(&who) {
            self.forget(&mut counted, now);
            if counted.buckets.len() >= MAX_COUNTED {
                return true;
            }
        }
        let most = self.most();
        let bucket = counted.buckets.entry(who).or_insert(Bucket {
            left: most,
            at: now,
        });
        bucket.left = self.regained(bucket, now);
        bucket.at = now;
        let admitted = bucket.left >= 1.0;
        if admitted {
            bucket.left -= 1.0;
        }
        admitted
    }

    /// At least one: a limit below that would admit nobody.
    fn most(&self) -> f64 {
        (self.per_second * BURST.as_secs_f64()).max(1.0)
    }

    fn regained(&self, bucket: &Bucket, now: Instant) -> f64 {
        let regained = self.per_second * (now - bucket.at).as_secs_f64();
        (bucket.left + regained).min(self.most())
    }

    fn forget(&self, counted: &mut Counted, now: Instant) {
        if now - counted.forgot < FORGET {
            return;
        }
        counted.forgot = now;
        let most = self.most();
        let is_missed = |bucket: &Bucket| self.regained(bucket, now) < most;
        counted.buckets.retain(|_, bucket| is_missed(bucket));
    }
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
        assert_eq!(rates.counted.lock().buckets.len(), MAX_COUNTED);
        assert!(!rates.admit(&id("0"), None), "who is counted stays so");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(rates.admit(&id("new"), None));
        assert_eq!(rates.counted.lock().buckets.len(), 1);
    }
}
