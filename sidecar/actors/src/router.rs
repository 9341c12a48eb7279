//! Finds the host of an actor and calls it there.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::time::Instant;
use tonic::Code;
use trilby_placement_protocol::client::{Held, HostRef, Routing};
use trilby_resiliency::{Backoff, Builtin};

use crate::runtime::Runtime;
use crate::wire::ACTOR_MOVED;
use crate::{ActorError, ActorKey, ActorRequest, ActorResponse, Actors, Peer};

/// Why a call ended although the app did nothing wrong: its actor moves.
pub(crate) const TABLE_UPDATED: &str = "placement table updated";

/// How long a call waits for a table, or for the end of a round that moves its actor: longer than any round
/// takes. After that it fails instead of waiting for ever.
const ROUTING_WITHIN: Duration = Duration::from_secs(60);

/// Marks a call that came from another sidecar.
const REMOTE_HEADER: &str = "X-Dapr-Remote";

/// How one attempt failed.
enum Failure {
    /// The same call may succeed elsewhere, or later.
    Again(ActorError),
    Final(ActorError),
}

// === impl Actors ===

impl Actors {
    /// Calls a method of an actor, wherever it is.
    ///
    /// # Errors
    /// See [`ActorError`].
    pub async fn invoke(&self, request: ActorRequest) -> Result<ActorResponse, ActorError> {
        let runtime = self.runtime()?;
        runtime.registered().await?;
        match runtime.attempt(&request).await {
            Ok(response) => Ok(response),
            Err(Failure::Final(error)) => Err(error),
            Err(Failure::Again(error)) => runtime.try_again(&request, error).await,
        }
    }

    /// Runs a call that another sidecar sent here.
    ///
    /// # Errors
    /// See [`ActorError`]; if the actor is not here, one that makes the caller look again.
    pub async fn invoke_local(
        &self,
        mut request: ActorRequest,
    ) -> Result<ActorResponse, ActorError> {
        let runtime = self.runtime()?;
        request
            .metadata
            .insert(REMOTE_HEADER.to_owned(), vec!["true".to_owned()]);
        runtime.registered().await?;
        let moved = || ActorError::Invoke(ACTOR_MOVED.to_owned());
        // Without a table, or a lease, nothing is owned here, and the caller may know better already.
        if runtime.routing.load().version().is_none() || !runtime.lease.is_open() {
            return Err(moved());
        }
        let (claim, owner) = match runtime.claimed_owner(&request.actor).await {
            Ok(found) => found,
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Again(_)) => return Err(moved()),
        };
        if !runtime.is_here(&owner) {
            return Err(moved());
        }
        let answer = claim.run(runtime.call_here(request)).await;
        answer.unwrap_or_else(|| Err(moved()))
    }
}

// === impl Runtime ===

impl Runtime {
    /// Tries a call again that found no host, the wrong one, or none that answers, under the built-in policy,
    /// unless a resource names the actor's type: then its policy, around this, is the only one.
    async fn try_again(
        &self,
        request: &ActorRequest,
        first: ActorError,
    ) -> Result<ActorResponse, ActorError> {
        let policies = self.resiliency.policies();
        if policies.names_actor(&request.actor.actor_type) {
            return Err(first);
        }
        let retry = Arc::clone(policies.builtin(Builtin::ActorNotFoundRetries));
        drop(policies);
        let (mut backoff, began) = (Backoff::new(&retry), Instant::now());
        let mut last = first;
        while let Some(pause) = backoff.next(began.elapsed(), rand::random()) {
            tracing::debug!(actor = %request.actor, error = %last, "actor call is tried again");
            self.pause(pause).await?;
            match self.attempt(request).await {
                Ok(response) => return Ok(response),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Again(error)) => last = error,
            }
        }
        Err(last)
    }

    async fn attempt(&self, request: &ActorRequest) -> Result<ActorResponse, Failure> {
        let (claim, owner) = self.claimed_owner(&request.actor).await?;
        let updated = || Failure::Again(ActorError::Invoke(TABLE_UPDATED.to_owned()));
        if self.is_here(&owner) {
            let answer = claim.run(self.call_here(request.clone())).await;
            answer.ok_or_else(updated)?.map_err(Failure::Final)
        } else {
            // The owner's sidecar decides how long a call may go on when the actor moves.
            drop(claim);
            self.call_peer(&owner, request).await
        }
    }

    /// The owner, with a claim taken before it was looked up and not while its type was held back: a claim
    /// that waited for a round would hold up the very drain which that round waits for.
    async fn claimed_owner(
        &self,
        actor: &ActorKey,
    ) -> Result<(crate::claims::Claim, HostRef), Failure> {
        let wait = async {
            let mut routings = self.routings.subscribe();
            loop {
                routings.mark_unchanged();
                let claim = self.claims.claim(&actor.actor_type);
                if let Some(owner) = self.lookup(actor, &self.routing.load())? {
                    return Ok((claim, owner));
                }
                drop(claim);
                self.next_routing(&mut routings).await?;
            }
        };
        let late = || Failure::Final(ActorError::Invoke(self.why_no_routing(actor)));
        tokio::time::timeout(ROUTING_WITHIN, wait)
            .await
            .unwrap_or_else(|_| Err(late()))
    }

    /// `None` while the answer has to wait for the next routing, or for the lease.
    fn lookup(&self, actor: &ActorKey, routing: &Routing) -> Result<Option<HostRef>, Failure> {
        let no_address = || Failure::Again(ActorError::NoAddress(actor.to_string()));
        match routing.hosts_of(&actor.actor_type) {
            Err(_held) => Ok(None),
            Ok(None) => Err(no_address()),
            Ok(Some(route)) => {
                let owner = route.owner(&actor.actor_id).ok_or_else(no_address)?;
                let callable = !self.is_here(owner) || self.lease.is_open();
                Ok(callable.then(|| owner.clone()))
            }
        }
    }

    async fn next_routing(
        &self,
        routings: &mut tokio::sync::watch::Receiver<u64>,
    ) -> Result<(), Failure> {
        let next = self.closed.run_until_cancelled(routings.changed()).await;
        next.map(|_| ()).ok_or(Failure::Final(ActorError::Closed))
    }

    fn why_no_routing(&self, actor: &ActorKey) -> String {
        let reason = match self.routing.load().hosts_of(&actor.actor_type) {
            Err(Held::NoTable) => "there is no placement table",
            Err(Held::Moving) => "the placement round that moves its type does not end",
            Ok(_) => "placement does not confirm that it is hosted here",
        };
        format!("actor '{actor}' has no host after {ROUTING_WITHIN:?}: {reason}")
    }

    async fn call_here(&self, request: ActorRequest) -> Result<ActorResponse, ActorError> {
        let hosted = self.registered().await?;
        let Some(settings) = hosted.get(&request.actor.actor_type).copied() else {
            return Err(ActorError::NoAddress(request.actor.to_string()));
        };
        self.host.call(request, settings).await
    }

    async fn call_peer(
        &self,
        owner: &HostRef,
        request: &ActorRequest,
    ) -> Result<ActorResponse, Failure> {
        let peer = Peer {
            address: owner.address.to_string(),
            app_id: owner.app_id.to_string(),
            namespace: self.settings.namespace.clone(),
        };
        let answer = self.peers.call_actor(&peer, request.clone().into()).await;
        answer
            .map(ActorResponse::from)
            .map_err(|status| failure_of(&status))
    }

    pub(crate) fn is_here(&self, owner: &HostRef) -> bool {
        same_host(&owner.address, &self.settings.host_address)
    }

    async fn pause(&self, pause: Duration) -> Result<(), ActorError> {
        let slept = self
            .closed
            .run_until_cancelled(tokio::time::sleep(pause))
            .await;
        slept.ok_or(ActorError::Closed)
    }
}

/// What a peer's refusal means.
fn failure_of(status: &tonic::Status) -> Failure {
    let prefix = ActorError::Invoke(String::new()).to_string();
    let message = status.message();
    let reason = message.strip_prefix(&prefix).unwrap_or(message);
    let error = match status.code() {
        Code::ResourceExhausted if message == ActorError::StackDepth.to_string() => {
            ActorError::StackDepth
        }
        _ => ActorError::Invoke(reason.to_owned()),
    };
    let elsewhere = reason == ACTOR_MOVED || message.starts_with("did not find address for actor");
    if status.code() == Code::Unavailable || elsewhere {
        Failure::Again(error)
    } else {
        Failure::Final(error)
    }
}

/// Whether two addresses are one host: the same text, or the same port of loopback in two spellings.
fn same_host(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    let (Some((host, port)), Some((other_host, other_port))) =
        (one.rsplit_once(':'), other.rsplit_once(':'))
    else {
        return false;
    };
    port == other_port && is_loopback(host) && is_loopback(other_host)
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Deactivates the actors of the moved types that this sidecar no longer owns.
pub(crate) async fn deactivate_moved(runtime: &Runtime, moved: &[Arc<str>]) {
    let routing = runtime.routing.load_full();
    let leaves = |actor: &ActorKey| {
        let owner = routing.owner(&actor.actor_type, &actor.actor_id);
        moved.contains(&actor.actor_type) && !owner.is_some_and(|owner| runtime.is_here(owner))
    };
    runtime.host.deactivate_where(leaves).await;
}

#[cfg(test)]
mod routing_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_several_spellings() {
        assert!(same_host("10.0.0.1:5", "10.0.0.1:5"));
        assert!(same_host("127.0.0.1:5", "localhost:5"));
        assert!(same_host("[::1]:5", "127.0.0.1:5"));
        assert!(!same_host("127.0.0.1:5", "127.0.0.1:6"));
        assert!(!same_host("10.0.0.1:5", "127.0.0.1:5"));
    }

    #[test]
    fn a_peer_that_is_away_or_no_longer_the_host_is_tried_again() {
        for status in [
            tonic::Status::unavailable("connection refused"),
            tonic::Status::internal("error invoke actor method: remote actor moved"),
        ] {
            assert!(
                matches!(failure_of(&status), Failure::Again(_)),
                "{status:?}"
            );
        }
        let app = tonic::Status::internal(
            "error invoke actor method: error from actor service: (500) no",
        );
        let Failure::Final(error) = failure_of(&app) else {
            panic!("the app's own error is final")
        };
        assert_eq!(error.to_string(), app.message());
    }
}
