//! `trilby.placement.v1.Election`: what other replicas ask.

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};
use tonic::{Request, Response, Status};
use trilby_identity::SpiffeId;
use trilby_placement_protocol::election::{Answer, Question, Replica, Subject};
use trilby_proto::trilby::placement::v1 as wire;
use wire::election_server::{Election, ElectionServer};

use super::peer::millis;
use crate::leadership::Cluster;

/// A question names a few replicas.
const MAX_QUESTION: usize = 16 * 1024;

/// A question that waits for its answer.
pub(super) struct Asked {
    pub(super) from: Replica,
    pub(super) question: Question,
    /// Where sidecars would find the asker.
    pub(super) address: String,
    pub(super) reply: oneshot::Sender<Answer>,
}

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct Peers {
    cluster: Arc<Cluster>,
    lease_millis: u64,
    /// Who may ask; `None`: anybody.
    owner: Option<SpiffeId>,
    elector: mpsc::Sender<Asked>,
}

// === impl Peers ===

impl Peers {
    pub(super) fn new(
        cluster: Arc<Cluster>,
        lease: Duration,
        owner: Option<SpiffeId>,
        elector: mpsc::Sender<Asked>,
    ) -> Self {
        Self {
            cluster,
            lease_millis: millis(lease),
            owner,
            elector,
        }
    }

    /// As a server takes it.
    pub(crate) fn into_server(self) -> ElectionServer<Self> {
        ElectionServer::new(self).max_decoding_message_size(MAX_QUESTION)
    }

    fn check_caller(&self, request: &Request<wire::Question>) -> Result<(), Status> {
        let Some(owner) = &self.owner else {
            return Ok(());
        };
        let peer = trilby_grpc::peer(request.extensions()).and_then(|peer| peer.spiffe.as_ref());
        if peer == Some(owner) {
            return Ok(());
        }
        let caller = peer.map_or("nobody", SpiffeId::as_str);
        tracing::warn!(caller, "refused: only replicas take part in the election");
        Err(Status::permission_denied(format!(
            "{caller} takes no part in the election"
        )))
    }

    fn asker(&self, question: &wire::Question) -> Result<Replica, Status> {
        let (theirs, ours) = (&question.replicas, self.cluster.names());
        if *theirs != ours {
            return Err(Status::failed_precondition(format!(
                "initial-cluster differs: {theirs} there, {ours} here"
            )));
        }
        let (theirs, ours) = (question.lease_millis, self.lease_millis);
        if theirs != ours {
            return Err(Status::failed_precondition(format!(
                "keepalive-timeout differs: {theirs} ms there, {ours} ms here"
            )));
        }
        match self.cluster.find(&question.from) {
            Some(replica) if replica != self.cluster.me() => Ok(replica),
            _ => Err(Status::failed_precondition(format!(
                "{:?} is no other replica than this one",
                question.from
            ))),
        }
    }
}

#[tonic::async_trait]
impl Election for Peers {
    async fn ask(
        &self,
        request: Request<wire::Question>,
    ) -> Result<Response<wire::Answer>, Status> {
        self.check_caller(&request)?;
        let question = request.into_inner();
        let from = self.asker(&question)?;
        let subject = subject(question.subject())
            .ok_or_else(|| Status::invalid_argument("the question has no subject"))?;
        let (reply, answer) = oneshot::channel();
        let asked = Asked {
            from,
            question: Question {
                term: question.term,
                number: question.number,
                reign: question.reign,
                subject,
            },
            address: question.address,
            reply,
        };
        let busy = |_| Status::resource_exhausted("too many questions");
        self.elector.try_send(asked).map_err(busy)?;
        let answer = answer.await;
        let Answer { term, granted, .. } =
            answer.map_err(|_| Status::unavailable("placement server is shutting down"))?;
        Ok(Response::new(wire::Answer { term, granted }))
    }
}

fn subject(subject: wire::Subject) -> Option<Subject> {
    match subject {
        wire::Subject::Unspecified => None,
        wire::Subject::Canvass => Some(Subject::Canvass),
        wire::Subject::Vote => Some(Subject::Vote),
        wire::Subject::Beat => Some(Subject::Beat),
        wire::Subject::Release => Some(Subject::Release),
    }
}
