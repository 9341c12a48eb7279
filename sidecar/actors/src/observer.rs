//! What is told of actors to whoever counts it.

/// Told what happens to the actors of this host; must return at once. Does nothing by itself.
pub trait Observer: Send + Sync {
    /// An actor of this type leaves this host.
    fn rebalanced(&self, actor_type: &str) {
        let _ = actor_type;
    }

    /// The app was told to deactivate an actor of this type, and did or failed.
    fn deactivated(&self, actor_type: &str, outcome: Result<(), ()>) {
        let _ = (actor_type, outcome.is_ok());
    }

    /// So many more calls of this type, or fewer, wait for their turn.
    fn pending(&self, actor_type: &str, change: i64) {
        let _ = (actor_type, change);
    }
}

/// Nobody is told.
impl Observer for () {}
