//! The three phases of a round.

use std::fmt;

/// A phase of a round. Its text is the `operation` of an order on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// A new table is about to come.
    Lock,
    /// Here is the table: stop what it moves elsewhere.
    Update,
    /// Everybody has the table: go on.
    Unlock,
}

// === impl Phase ===

impl Phase {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Update => "update",
            Self::Unlock => "unlock",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
