//! What is counted about resources, in the words of whoever counts it.

use std::fmt;

/// At which step a component failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Its type is not there, or not built.
    Creation,
    /// It could not be prepared or started.
    Init,
}

/// Is told what happens to resources.
pub trait Observer: Send + Sync {
    /// A component of that type serves.
    fn initialised(&self, component_type: &str);
    /// An attempt to start a component failed.
    fn failed(&self, component_type: &str, step: Step, name: &str);
    /// A resource of that kind cannot be used; the kind is empty for a file's document that cannot be read.
    fn unusable(&self, kind: &str);
}

/// Nobody counts.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {
    fn initialised(&self, _component_type: &str) {}
    fn failed(&self, _component_type: &str, _step: Step, _name: &str) {}
    fn unusable(&self, _kind: &str) {}
}

// === impl Step ===

impl fmt::Display for Step {
    /// Upstream's word.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Creation => "creation",
            Self::Init => "init",
        })
    }
}
