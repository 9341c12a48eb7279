//! What the metadata API says about actors.

/// The actor runtime, as the metadata API shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whether it can be used.
    pub runtime: RuntimeStatus,
    /// The hosted types with the number of active actors of each, ascending.
    pub active: Vec<ActiveActors>,
    /// Whether a placement table is in force here.
    pub host_ready: bool,
    /// Whether the stream to placement is open.
    pub connected: bool,
}

/// Whether actors can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeStatus {
    /// No placement address is configured.
    Disabled,
    /// What the app hosts is not known yet.
    Initializing,
    /// They can.
    Running,
}

/// How many actors of a type are active here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveActors {
    /// The type.
    pub actor_type: String,
    /// How many.
    pub count: u32,
}

// === impl Status ===

impl Status {
    /// The `placement` field of the metadata API; empty until it is known whether there are actors.
    pub fn placement(&self) -> &'static str {
        match (self.runtime, self.connected) {
            (RuntimeStatus::Initializing, _) => "",
            (RuntimeStatus::Running, true) => "placement: connected",
            _ => "placement: disconnected",
        }
    }
}

// === impl RuntimeStatus ===

impl RuntimeStatus {
    /// The word of the metadata API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "DISABLED",
            Self::Initializing => "INITIALIZING",
            Self::Running => "RUNNING",
        }
    }
}
