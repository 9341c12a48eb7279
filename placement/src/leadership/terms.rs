//! A hub for each term.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    Role, Source, Tenure,
    post::{Post, State},
};
use crate::{
    hub::{Hub, HubConfig},
    metrics::Metrics,
    state::Tables,
};

/// How long streams may take to end. A leader that stops waits so long before it gives leadership back; whoever is not
/// gone by then is waited for by the next leader.
const DISMISS: Duration = Duration::from_millis(1500);

/// Serves for as long as this replica leads, again and again.
pub(crate) struct Terms {
    pub config: HubConfig,
    pub metrics: Metrics,
    pub tables: Option<Tables>,
    state: watch::Sender<State>,
    post: Post,
}

// === impl Terms ===

impl Terms {
    /// The terms of replica `id`, which does not lead yet.
    pub(crate) fn new(id: &str, config: HubConfig, metrics: Metrics) -> Self {
        let (state, post) = Post::new(id);
        Self {
            config,
            metrics,
            tables: None,
            state,
            post,
        }
    }

    /// With these tables for the state endpoint.
    pub(crate) fn with_tables(mut self, tables: Option<Tables>) -> Self {
        self.tables = tables;
        self
    }

    /// For those who serve.
    pub(crate) fn post(&self) -> Post {
        self.post.clone()
    }

    /// Follows `source` until `stop`, and then gives leadership back if this replica has it.
    pub(crate) async fn run(self, source: Source, stop: CancellationToken) {
        let Source { mut roles, resign } = source;
        loop {
            let role = roles.borrow_and_update().clone();
            let served = match role {
                Role::Leader(tenure) if !tenure.is_over() => self.serve(tenure, &stop).await,
                Role::Leader(_) => true,
                Role::Follower { leader } => {
                    self.state.send_replace(State::Following { leader });
                    true
                }
            };
            if stop.is_cancelled() {
                self.state.send_replace(State::Stopping);
                if served {
                    resign.cancel();
                }
                return;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                changed = roles.changed() => if changed.is_err() {
                    // A source that says no more has said all: the only replica, or one that stops.
                    stop.cancelled().await;
                }
            }
        }
    }

    /// One term. Whether everybody who was served has been told of its end.
    async fn serve(&self, tenure: Tenure, stop: &CancellationToken) -> bool {
        let (mut hub, notices) = Hub::new(self.config, self.metrics.clone(), self.tables.clone());
        self.state.send_replace(State::Leading {
            notices,
            tenure: tenure.clone(),
        });
        self.metrics.leadership().leading();
        info!("this replica leads");
        hub.run(&tenure, stop).await;
        let state = match stop.is_cancelled() {
            true => State::Stopping,
            false => State::Following { leader: None },
        };
        self.state.send_replace(state);
        self.metrics.leadership().following();
        if let Some(tables) = &self.tables {
            tables.clear();
        }
        info!("this replica leads no more");
        let gone = hub.dismiss(self.post.refusal(), DISMISS).await;
        if !gone {
            warn!("not every stream has ended within {DISMISS:?}");
        }
        gone
    }
}

#[cfg(test)]
mod tests;
