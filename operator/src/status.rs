//! Writes what became of resources into their status, and tells of transitions by Events.
//!
//! ```text
//! reports (pure) ──changes──▶ schedule (pure: what is due when) ──▶ writer ──▶ status subresource, Event
//! ```
//!
//! Only the leader writes, only what changed, and of one resource never twice within a short time. Definitions without
//! a status subresource, as upstream's are, are normal: they are looked at again now and then.

mod event;
mod schedule;
mod writer;

pub(crate) use writer::Writer;
