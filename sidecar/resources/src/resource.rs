//! One resource as the rest of the sidecar sees it.

use std::sync::Arc;

use tokio::sync::watch;

/// A resource of this sidecar's namespace that is for its app, secrets filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource<S> {
    /// Its name.
    pub name: String,
    /// Its namespace; empty when it names none.
    pub namespace: String,
    /// What it says. Values that stood in a secret or in the environment are text now.
    pub spec: S,
    /// App ids that it is for; empty means every app of the namespace.
    pub scopes: Vec<String>,
}

/// All resources of a kind in the order of their names, as they change.
pub type Followed<S> = watch::Receiver<Arc<[Resource<S>]>>;

/// A resource that cannot be used as it stands. What it said before may still be in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its kind; `file` for a document that cannot be read.
    pub kind: &'static str,
    /// Its name; for a document, the file and its place in it.
    pub name: String,
    /// Why it cannot be used.
    pub reason: String,
}
