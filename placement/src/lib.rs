//! Keeps the table that says which sidecar hosts which actor.
