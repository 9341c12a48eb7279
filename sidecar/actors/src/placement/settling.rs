//! What a new table means for calls under way and for actors that live here.

use std::{pin::Pin, sync::Arc};

use crate::router::deactivate_moved;
use crate::runtime::Runtime;

/// The work that follows a table; gives its round.
pub(super) type Settling = Pin<Box<dyn Future<Output = u64> + Send>>;

/// Brings what is under way on an older table to an end and lets go of what lives elsewhere now.
pub(super) fn settle(runtime: Arc<Runtime>, version: u64, moved: Vec<Arc<str>>) -> Settling {
    Box::pin(async move {
        drain(&runtime, &moved).await;
        deactivate_moved(&runtime, &moved).await;
        version
    })
}

/// Waits for the calls of these types that began before, each type for its own grace, then ends the rest.
pub(super) async fn drain(runtime: &Runtime, types: &[Arc<str>]) {
    let hosted = runtime.hosted.borrow().clone();
    let grace = |actor_type: &str| {
        let settings = hosted.as_ref().and_then(|hosted| hosted.get(actor_type));
        settings.map_or(crate::DEFAULT_DRAIN_TIMEOUT, |settings| {
            settings.drain_timeout
        })
    };
    let drains = types
        .iter()
        .map(|actor_type| runtime.claims.drain(actor_type, grace(actor_type)));
    futures_util::future::join_all(drains).await;
}

/// Rounds are settled one after the other: giving one up would cut short the calls that it lets end.
pub(super) fn after(earlier: Option<Settling>, round: Settling) -> Settling {
    match earlier {
        None => round,
        Some(earlier) => Box::pin(async move {
            earlier.await;
            round.await
        }),
    }
}

/// The round that is settled next; never, while there is none.
pub(super) async fn settled(settling: &mut Option<Settling>) -> u64 {
    match settling {
        Some(settling) => settling.await,
        None => std::future::pending().await,
    }
}
