//! What a candidate does about the lease it sees. No I/O; the clock is the caller's.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::api::ObjectMeta;
use tokio::time::Instant;

use super::Standing;

pub(super) struct Candidate {
    standing: Standing,
    /// The last lease of another holder, and since when we have seen it unchanged.
    observed: Option<(Option<String>, Instant)>,
    /// Since when we have seen that there is none.
    absent: Option<Instant>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Decision {
    /// Another holds it.
    Wait,
    /// There is none: this one makes us the holder.
    Create(Box<Lease>),
    /// It is ours, or nobody's any more: this one makes us the holder, from now on.
    Replace(Box<Lease>),
}

impl Candidate {
    pub(super) fn new(standing: Standing) -> Self {
        Self {
            standing,
            observed: None,
            absent: None,
        }
    }

    pub(super) fn decide(&mut self, lease: Option<Lease>, now: Instant) -> Decision {
        let Some(mut lease) = lease else {
            let since = *self.absent.get_or_insert(now);
            if now.duration_since(since) < self.standing.absent {
                return Decision::Wait;
            }
            let metadata = ObjectMeta {
                name: Some(self.standing.name.to_owned()),
                annotations: Some(self.standing.annotations.clone()),
                ..ObjectMeta::default()
            };
            return Decision::Create(Box::new(Lease {
                metadata,
                spec: Some(self.held(None)),
            }));
        };
        self.absent = None;
        let spec = lease.spec.take().unwrap_or_default();
        if !self.is_ours(&spec)
            && !self.is_free(&spec, lease.metadata.resource_version.clone(), now)
        {
            return Decision::Wait;
        }
        self.observed = None;
        let annotations = lease.metadata.annotations.get_or_insert_default();
        annotations.extend(self.standing.annotations.clone());
        lease.spec = Some(self.held(Some(spec)));
        Decision::Replace(Box::new(lease))
    }

    /// The lease as nobody's, if it is ours.
    pub(super) fn release(&self, mut lease: Lease) -> Option<Box<Lease>> {
        let spec = lease.spec.as_mut().filter(|spec| self.is_ours(spec))?;
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(now());
        Some(Box::new(lease))
    }

    fn is_ours(&self, spec: &LeaseSpec) -> bool {
        spec.holder_identity.as_deref() == Some(&self.standing.identity)
    }

    fn is_free(&mut self, spec: &LeaseSpec, version: Option<String>, now: Instant) -> bool {
        if spec
            .holder_identity
            .as_deref()
            .unwrap_or_default()
            .is_empty()
        {
            return true;
        }
        let lasts = spec
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(self.standing.duration, Duration::from_secs);
        match &self.observed {
            Some((seen, since)) if *seen == version => now.duration_since(*since) >= lasts,
            _ => {
                self.observed = Some((version, now));
                false
            }
        }
    }

    /// The spec that makes us the holder from now on.
    fn held(&self, before: Option<LeaseSpec>) -> LeaseSpec {
        let before = before.unwrap_or_default();
        let ours = self.is_ours(&before);
        let transitions = before.lease_transitions.unwrap_or(0);
        let first = before.holder_identity.is_none();
        LeaseSpec {
            holder_identity: Some(self.standing.identity.clone()),
            lease_duration_seconds: i32::try_from(whole_seconds(self.standing.duration)).ok(),
            acquire_time: before
                .acquire_time
                .clone()
                .filter(|_| ours)
                .or_else(|| Some(now())),
            renew_time: Some(now()),
            lease_transitions: Some(transitions + i32::from(!ours && !first)),
            ..before
        }
    }
}

/// As a Lease has them.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

fn now() -> MicroTime {
    MicroTime(Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::{Candidate, Decision, Lease, Standing};
    use std::time::Duration;
    use tokio::time::Instant;

    const DURATION: Duration = Duration::from_secs(15);

    fn candidate(name: &str) -> Candidate {
        standing(name, Duration::ZERO)
    }

    fn standing(name: &str, absent: Duration) -> Candidate {
        Candidate::new(Standing {
            name: "test",
            duration: DURATION,
            identity: name.to_owned(),
            annotations: [("holder".to_owned(), name.to_owned())].into(),
            absent,
        })
    }

    fn taken(decision: Decision) -> Lease {
        match decision {
            Decision::Create(lease) | Decision::Replace(lease) => *lease,
            Decision::Wait => panic!("waits"),
        }
    }

    fn holder(lease: &Lease) -> &str {
        lease
            .spec
            .as_ref()
            .unwrap()
            .holder_identity
            .as_deref()
            .unwrap()
    }

    /// As the API server would keep it.
    fn stored(decision: Decision, version: &str) -> Lease {
        let mut lease = taken(decision);
        lease.metadata.resource_version = Some(version.to_owned());
        lease
    }

    #[test]
    fn the_first_candidate_takes_the_lease_and_renews_it() {
        let (mut a, now) = (candidate("a"), Instant::now());
        let lease = stored(a.decide(None, now), "1");
        assert_eq!(holder(&lease), "a");
        let renewed = taken(a.decide(Some(lease.clone()), now));
        let (before, after) = (lease.spec.unwrap(), renewed.spec.unwrap());
        assert_eq!(before.acquire_time, after.acquire_time);
        assert_eq!(after.lease_transitions, Some(0));
    }

    #[test]
    fn another_waits_while_the_lease_is_renewed_and_takes_it_when_it_is_not() {
        let (mut a, mut b, start) = (candidate("a"), candidate("b"), Instant::now());
        let lease = stored(a.decide(None, start), "1");
        assert_eq!(b.decide(Some(lease.clone()), start), Decision::Wait);
        let renewed = stored(a.decide(Some(lease), start), "2");
        let later = start + DURATION;
        assert_eq!(
            b.decide(Some(renewed.clone()), later),
            Decision::Wait,
            "it changed"
        );
        assert_eq!(
            b.decide(Some(renewed.clone()), later + DURATION / 2),
            Decision::Wait
        );
        let lease = taken(b.decide(Some(renewed), later + DURATION));
        assert_eq!(holder(&lease), "b");
        assert_eq!(lease.spec.unwrap().lease_transitions, Some(1));
    }

    #[test]
    fn a_lease_that_was_given_back_is_taken_at_once() {
        let (mut a, mut b, now) = (candidate("a"), candidate("b"), Instant::now());
        let lease = stored(a.decide(None, now), "1");
        assert!(b.release(lease.clone()).is_none(), "not ours to give");
        let released = *a.release(lease).unwrap();
        assert_eq!(holder(&taken(b.decide(Some(released), now))), "b");
    }

    #[test]
    fn a_taken_lease_keeps_its_version_so_that_the_slower_of_two_is_refused() {
        let (mut a, mut b, now) = (candidate("a"), candidate("b"), Instant::now());
        let lease = stored(a.decide(None, now), "7");
        let released = *a.release(lease).unwrap();
        let taken = taken(b.decide(Some(released), now));
        assert_eq!(taken.metadata.resource_version.as_deref(), Some("7"));
    }

    #[test]
    fn a_lease_that_is_not_there_may_have_been_deleted_under_its_holder() {
        let (mut b, start) = (standing("b", DURATION), Instant::now());
        assert_eq!(b.decide(None, start), Decision::Wait);
        assert_eq!(b.decide(None, start + DURATION / 2), Decision::Wait);
        assert_eq!(holder(&taken(b.decide(None, start + DURATION))), "b");
    }

    #[test]
    fn a_holder_says_who_it_is() {
        let (mut a, mut b, now) = (candidate("a"), candidate("b"), Instant::now());
        let lease = stored(a.decide(None, now), "1");
        let released = *a.release(lease).unwrap();
        let lease = taken(b.decide(Some(released), now));
        assert_eq!(lease.metadata.annotations.unwrap()["holder"], "b");
    }
}
