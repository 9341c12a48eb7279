//! The operator's ear: what each open stream of reports has said so far.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tonic::{Request, Response, Status, Streaming};
use trilby_proto::trilby::operator::v1::{
    ReportRequest, ReportResponse, ResourceState, resource_reports_server::ResourceReports,
    resource_state::Outcome,
};

use super::World;

/// What is said by the streams that are open, and how many were opened so far.
#[derive(Clone, Default)]
pub(crate) struct Reports(Arc<Mutex<Heard>>, Arc<Notify>);

#[derive(Default)]
struct Heard {
    deaf: bool,
    /// How many more streams are sent to another replica.
    redirected: usize,
    attempts: usize,
    streams: BTreeMap<usize, BTreeMap<String, ResourceState>>,
}

impl Reports {
    /// From now on it is an operator that knows no reports, or one that does.
    pub(crate) fn set_deaf(&self, deaf: bool) {
        self.0.lock().deaf = deaf;
    }

    /// The next streams are sent to another replica.
    pub(crate) fn redirect(&self, streams: usize) {
        self.0.lock().redirected = streams;
    }

    /// How often a stream was opened, or refused.
    pub(crate) fn attempts(&self) -> usize {
        self.0.lock().attempts
    }

    /// Ends every open stream.
    pub(super) fn end_streams(&self) {
        self.1.notify_waiters();
    }

    async fn ended(&self) {
        self.1.notified().await;
    }

    /// What every open stream says, in short.
    pub(crate) fn said(&self) -> Vec<String> {
        let heard = self.0.lock();
        let states = heard.streams.values().flat_map(BTreeMap::values);
        states.map(in_short).collect()
    }
}

fn in_short(state: &ResourceState) -> String {
    let outcome = match &state.outcome {
        Some(Outcome::Pending(_)) => "pending".to_owned(),
        Some(Outcome::Loaded(_)) => "loaded".to_owned(),
        Some(Outcome::Failed(failed)) => {
            let older = if failed.older_in_force {
                "older"
            } else {
                "nothing"
            };
            format!("failed, {older} in force: {}", failed.message)
        }
        Some(Outcome::Removed(_)) | None => "not a state".to_owned(),
    };
    let ResourceState {
        kind,
        name,
        uid,
        generation,
        ..
    } = state;
    format!("{kind} {name} {uid}/{generation} {outcome}")
}

#[async_trait]
impl ResourceReports for World {
    async fn report(
        &self,
        request: Request<Streaming<ReportRequest>>,
    ) -> Result<Response<ReportResponse>, Status> {
        let (number, deaf) = {
            let mut heard = self.reports.0.lock();
            heard.attempts += 1;
            if heard.redirected > 0 {
                heard.redirected -= 1;
                return Err(Status::failed_precondition("another replica counts"));
            }
            (heard.attempts, heard.deaf)
        };
        if deaf {
            return super::no();
        }
        let _open = Open(self.reports.clone(), number);
        let mut messages = request.into_inner();
        loop {
            tokio::select! {
                message = messages.message() => {
                    let Some(message) = message? else {
                        return Ok(Response::new(ReportResponse {}));
                    };
                    let mut heard = self.reports.0.lock();
                    let said = heard.streams.entry(number).or_default();
                    for state in message.states {
                        let id = format!("{}/{}", state.kind, state.name);
                        match state.outcome {
                            Some(Outcome::Removed(_)) => drop(said.remove(&id)),
                            _ => drop(said.insert(id, state)),
                        }
                    }
                }
                () = self.reports.ended() => return Err(Status::unavailable("streams end")),
            }
        }
    }
}

/// Forgets what a stream said when it ends.
struct Open(Reports, usize);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.lock().streams.remove(&self.1);
    }
}
