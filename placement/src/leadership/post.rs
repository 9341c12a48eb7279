//! Who may be served here, as those see it who serve.

use std::sync::Arc;

use tokio::sync::watch;
use tonic::{Status, metadata::MetadataMap};

use super::Tenure;
use crate::hub::Notices;

/// Metadata of a refusal: where sidecars find the leader, as `host:port`.
pub(crate) const LEADER_KEY: &str = "trilby-placement-leader";

/// This replica's post: whether it leads, for those who serve streams. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    id: Arc<str>,
    pub(super) state: watch::Receiver<State>,
}

/// What [`super::Terms`] tells.
#[derive(Debug, Clone)]
pub(super) enum State {
    Following { leader: Option<String> },
    Leading { notices: Notices, tenure: Tenure },
    Stopping,
}

// === impl Post ===

impl Post {
    /// The post of a follower, and the way to change that.
    pub(super) fn new(id: &str) -> (watch::Sender<State>, Self) {
        let (sender, state) = watch::channel(State::Following { leader: None });
        let post = Self {
            id: id.into(),
            state,
        };
        (sender, post)
    }

    /// The way to the hub of the current term.
    ///
    /// # Errors
    /// [`Post::refusal`], unless this replica leads.
    pub(crate) fn admit(&self) -> Result<Notices, Status> {
        match &*self.state.borrow() {
            State::Leading { notices, tenure } if !tenure.is_over() => Ok(notices.clone()),
            _ => Err(self.refusal()),
        }
    }

    /// Whether this replica leads.
    pub(crate) fn leads(&self) -> bool {
        self.admit().is_ok()
    }

    /// Why a stream cannot be, or go on, here.
    pub(crate) fn refusal(&self) -> Status {
        let leader = match &*self.state.borrow() {
            State::Stopping => {
                return Status::unavailable("placement server is shutting down");
            }
            State::Following { leader } => leader.clone(),
            State::Leading { .. } => None,
        };
        let id = &self.id;
        let text = format!("node id={id} is not a leader. Only the leader can serve requests");
        Status::with_metadata(tonic::Code::FailedPrecondition, text, directions(leader))
    }

    #[cfg(test)]
    pub(crate) fn of_leader(notices: Notices) -> Self {
        let tenure = Tenure::endless();
        let (_, state) = watch::channel(State::Leading { notices, tenure });
        Self {
            id: "test".into(),
            state,
        }
    }

    #[cfg(test)]
    pub(crate) fn of_follower(leader: Option<&str>) -> Self {
        let leader = leader.map(str::to_owned);
        let (_, state) = watch::channel(State::Following { leader });
        Self {
            id: "test".into(),
            state,
        }
    }
}

fn directions(leader: Option<String>) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    if let Some(address) = leader.and_then(|address| address.parse().ok()) {
        metadata.insert(LEADER_KEY, address);
    }
    metadata
}
