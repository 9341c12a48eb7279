//! One bucket of tokens a client.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Clients remembered at once; some 2 MB. Those beyond share one bucket, so that many forged addresses hold
/// up each other and nobody else.
const MOST: usize = 65_536;

/// What a request got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    /// Its token.
    Granted {
        /// Whole tokens that are left.
        left: u64,
    },
    /// Nothing: the bucket is empty.
    Refused,
}

/// Buckets that fill at one rate. One that is full is as good as none and may be forgotten.
pub(super) struct Buckets {
    /// Tokens a second.
    rate: f64,
    /// Tokens in a full bucket.
    size: f64,
    most: usize,
    table: Mutex<Table>,
}

struct Table {
    buckets: HashMap<u64, Bucket>,
    /// Of those that have no room.
    shared: Bucket,
    /// When it was last looked for full ones.
    swept: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    since: Option<Instant>,
}

impl Buckets {
    pub(super) fn new(rate: f64) -> Self {
        Self::with_most(rate, MOST)
    }

    fn with_most(rate: f64, most: usize) -> Self {
        let size = rate.trunc().max(1.0);
        Self {
            rate,
            size,
            most,
            table: Mutex::new(Table {
                buckets: HashMap::new(),
                shared: Bucket {
                    tokens: size,
                    since: None,
                },
                swept: None,
            }),
        }
    }

    /// Takes a token of a client, if it has one.
    pub(super) fn take(&self, client: u64, now: Instant) -> Take {
        let mut table = self.table.lock();
        if table.buckets.len() >= self.most && !table.buckets.contains_key(&client) {
            self.sweep(&mut table, now);
            if table.buckets.len() >= self.most {
                return self.take_from(&mut table.shared, now);
            }
        }
        let full = Bucket {
            tokens: self.size,
            since: None,
        };
        let bucket = table.buckets.entry(client).or_insert(full);
        self.take_from(bucket, now)
    }

    fn take_from(&self, bucket: &mut Bucket, now: Instant) -> Take {
        bucket.tokens = self.tokens(bucket, now);
        bucket.since = Some(now);
        if bucket.tokens < 1.0 {
            return Take::Refused;
        }
        bucket.tokens -= 1.0;
        Take::Granted {
            left: whole(bucket.tokens),
        }
    }

    fn tokens(&self, bucket: &Bucket, now: Instant) -> f64 {
        let passed = bucket.since.map_or(0.0, |since| {
            now.saturating_duration_since(since).as_secs_f64()
        });
        (bucket.tokens + passed * self.rate).min(self.size)
    }

    /// Forgets full buckets; not more often than one can fill, for a look at all of them takes its time.
    fn sweep(&self, table: &mut Table, now: Instant) {
        let until_full = self.size / self.rate;
        let due = table
            .swept
            .is_none_or(|swept| now.saturating_duration_since(swept).as_secs_f64() >= until_full);
        if due {
            table.swept = Some(now);
            table
                .buckets
                .retain(|_, bucket| self.tokens(bucket, now) < self.size);
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tokens are never negative, and a rate beyond u64 saturates"
)]
fn whole(tokens: f64) -> u64 {
    tokens as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Buckets, Take};

    fn granted(left: u64) -> Take {
        Take::Granted { left }
    }

    #[test]
    fn a_bucket_holds_a_second_and_refills() {
        let (buckets, start) = (Buckets::new(2.5), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(buckets.take(1, start), granted(1));
        assert_eq!(buckets.take(1, start), granted(0));
        assert_eq!(buckets.take(1, at(399)), Take::Refused);
        assert_eq!(buckets.take(1, at(400)), granted(0));
        assert_eq!(
            buckets.take(2, at(400)),
            granted(1),
            "others have their own"
        );
        assert_eq!(
            buckets.take(1, at(60_000)),
            granted(1),
            "never more than full"
        );
    }

    #[test]
    fn less_than_one_a_second_still_lets_one_through() {
        let (buckets, start) = (Buckets::new(0.5), Instant::now());
        assert_eq!(buckets.take(1, start), granted(0));
        assert_eq!(
            buckets.take(1, start + Duration::from_secs(1)),
            Take::Refused
        );
        assert_eq!(buckets.take(1, start + Duration::from_secs(2)), granted(0));
    }

    #[test]
    fn a_flood_of_addresses_shares_one_bucket_and_takes_no_more_memory() {
        let (buckets, start) = (Buckets::with_most(1.0, 10), Instant::now());
        let passed = (0..1000).filter(|client| buckets.take(*client, start) != Take::Refused);
        assert_eq!(passed.count(), 11);
        assert_eq!(buckets.table.lock().buckets.len(), 10);
        let later = start + Duration::from_secs(1);
        assert_eq!(
            buckets.take(5000, later),
            granted(0),
            "full ones were forgotten"
        );
        assert_eq!(buckets.table.lock().buckets.len(), 1);
    }
}
