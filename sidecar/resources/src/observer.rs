//! What is counted about resources, in the words of whoever counts it.

use std::fmt;

use tokio::time::Instant;
use tonic::Code;

/// At which step a component failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Its type is not there, or not built.
    Creation,
    /// It could not be prepared or started.
    Init,
}

/// A call of the operator that ended.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// `/package.Service/Method`.
    pub method: &'static str,
    /// How it ended.
    pub status: Code,
    /// The question in bytes.
    pub request: usize,
    /// The answer in bytes; 0 without one.
    pub response: usize,
    /// When it began.
    pub since: Instant,
}

/// Is told what happens to resources.
pub trait Observer: Send + Sync {
    /// A component of that type serves.
    fn initialised(&self, component_type: &str);
    /// An attempt to start a component failed.
    fn failed(&self, component_type: &str, step: Step, name: &str);
    /// A resource of that kind cannot be used; the kind is empty for a file's document that cannot be read.
    fn unusable(&self, kind: &str);
    /// The operator was asked something that has one answer.
    fn asked(&self, asked: &Asked);
}

/// Nobody counts.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {
    fn initialised(&self, _component_type: &str) {}
    fn failed(&self, _component_type: &str, _step: Step, _name: &str) {}
    fn unusable(&self, _kind: &str) {}
    fn asked(&self, _asked: &Asked) {}
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
