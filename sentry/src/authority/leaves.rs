//! When the certificates end that were signed here: none of them may outlive the trust in its root.

use std::time::SystemTime;

use parking_lot::Mutex;

use crate::{bundle::unix_seconds, issuer::IssuerId};

/// See the module. Kept in memory: replicas that start again assume that certificates hold as long as they do now.
#[derive(Debug, Default)]
pub(crate) struct LeafEnds(Mutex<Ends>);

/// In seconds since 1970; 0 for none.
#[derive(Debug, Default)]
struct Ends {
    /// Who signed last.
    issuer: Option<IssuerId>,
    /// When the last of its certificates ends.
    last: u64,
    /// When the last one of all issuers before ends.
    before: u64,
}

impl LeafEnds {
    /// An issuer signed a certificate that ends then.
    pub(crate) fn signed(&self, issuer: IssuerId, not_after: SystemTime) {
        let mut ends = self.0.lock();
        if ends.issuer != Some(issuer) {
            ends.before = ends.before.max(ends.last);
            ends.last = 0;
            ends.issuer = Some(issuer);
        }
        ends.last = ends.last.max(unix_seconds(not_after));
    }

    /// When the last certificate of all issuers but this one ends.
    pub(crate) fn of_others(&self, issuer: IssuerId) -> u64 {
        let ends = self.0.lock();
        if ends.issuer == Some(issuer) {
            ends.before
        } else {
            ends.before.max(ends.last)
        }
    }

    /// When the last certificate of all ends.
    pub(crate) fn of_all(&self) -> u64 {
        let ends = self.0.lock();
        ends.before.max(ends.last)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn ends_are_kept_apart_for_the_issuer_in_use_and_those_before() {
        let ends = LeafEnds::default();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let [one, two, three] = [1, 2, 3].map(IssuerId::from);
        assert_eq!((ends.of_all(), ends.of_others(one)), (0, 0));
        ends.signed(one, at(100));
        ends.signed(one, at(50));
        assert_eq!((ends.of_others(one), ends.of_others(two)), (0, 100));
        ends.signed(two, at(70));
        assert_eq!((ends.of_others(two), ends.of_others(three)), (100, 100));
        ends.signed(two, at(200));
        assert_eq!((ends.of_others(two), ends.of_all()), (100, 200));
        ends.signed(three, at(1));
        assert_eq!(ends.of_others(three), 200);
    }
}
