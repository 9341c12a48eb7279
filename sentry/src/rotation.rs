//! The rotation of roots: another authority takes the place of the one in use, and nobody restarts anything.
//!
//! ```text
//! stable ─► prepared ─► distributed ─► active ─► retired ─► stable
//!            made and    both roots     the new    the old     the bridge
//!            proved      are trusted    one signs  root goes   goes too
//! ```
//!
//! Where a rotation stands is written beside the authority ([`Record`]), and every step is one write of all documents
//! in the place of exactly those that it was decided on: cut short anywhere, the step was made or was not.
//! [`decide`] says when a step is due and what it waits for, and does nothing; [`transition`] makes the documents of
//! the step; [`crate::authority`] proves and stores them. [`evidence`] and [`holders`] know who trusts the new root.
//!
//! The [`bridge`] lets those verify new certificates who know only the old root: sidecars that hold what their pod
//! was started with.

pub(crate) mod bridge;
pub(crate) mod decision;
pub(crate) mod evidence;
pub(crate) mod holders;
mod lives;
mod record;
pub(crate) mod roots;
pub(crate) mod status;
pub(crate) mod transition;

pub(crate) use decision::{Step, decide};
pub(crate) use evidence::Evidence;
pub(crate) use holders::Holders;
pub(crate) use record::{Phase, Record};

use crate::source::NewAuthority;

/// The documents of a rotation, as they are stored.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct RotationDocuments {
    /// How it stands: see [`Record`]. Without one, none ever began.
    pub(crate) record: Option<Vec<u8>>,
    /// The authority that is to be the next; what issuers have above them includes the bridge.
    pub(crate) next: Option<NewAuthority>,
}

/// What the operators of the mesh want, told beside the authority.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Orders {
    /// A value that was not there before asks for a rotation.
    pub(crate) rotate: Option<String>,
    /// No step is made.
    pub(crate) paused: bool,
}
