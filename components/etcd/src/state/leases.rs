//! The leases that the values of one write live by.

use std::collections::BTreeMap;

use trilby_components::state::{SetRequest, StateError, Ttl};

use super::layout::life;
use crate::lease;
use crate::link::Link;

/// A lease for each number of seconds: values that are written together and live equally long share one.
#[derive(Debug, Default)]
pub(super) struct Leases(BTreeMap<i64, i64>);

impl Leases {
    /// Asks for those that these writes need.
    pub(super) async fn grant<'a>(
        link: &Link,
        puts: impl Iterator<Item = &'a SetRequest>,
    ) -> Result<Self, StateError> {
        let mut leases = Self::default();
        let mut lives: Vec<i64> = puts.filter_map(|set| life(set.ttl)).collect();
        lives.sort_unstable();
        lives.dedup();
        for ttl in lives {
            match lease::grant(link, ttl).await {
                Ok(id) => leases.0.insert(ttl, id),
                Err(error) => {
                    leases.revoke(link).await;
                    return Err(error);
                }
            };
        }
        Ok(leases)
    }

    /// The id of the lease for this.
    pub(super) fn of(&self, ttl: Option<Ttl>) -> i64 {
        let granted = life(ttl).and_then(|seconds| self.0.get(&seconds));
        granted.copied().unwrap_or(lease::NONE)
    }

    /// Gives them back: nothing was written.
    pub(super) async fn revoke(&self, link: &Link) {
        for id in self.0.values() {
            lease::revoke(link, *id).await;
        }
    }
}
