//! Leases: how long the servers keep what is written with them.

use tracing::debug;
use trilby_components::state::StateError;

use crate::link::Link;
use crate::wire::{LeaseGrantRequest, LeaseRevokeRequest};

/// The lease of what stays.
pub(crate) const NONE: i64 = 0;

/// Asks for one of `ttl` seconds. The server gives at least what its members need to elect a leader, 2 s unless told
/// otherwise, and looks for ended ones twice a second.
pub(crate) async fn grant(link: &Link, ttl: i64) -> Result<i64, StateError> {
    let granted = link.call(LeaseGrantRequest { ttl }).await?;
    Ok(granted.id)
}

/// Gives one back that nothing goes with any more. It would end by itself, after its time.
pub(crate) async fn revoke(link: &Link, id: i64) {
    if let Err(error) = link.call(LeaseRevokeRequest { id }).await {
        debug!(%error, "a lease that nobody uses stays until it ends");
    }
}
