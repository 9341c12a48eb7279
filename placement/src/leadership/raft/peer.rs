//! Another replica, as this one reaches it.

use std::{future::Future, sync::Arc, time::Duration};

use rustls::ClientConfig;
use tokio::time::Instant;
use tonic::Status;
use tracing::{info, warn};
use trilby_grpc::{Channel, ChannelConfig, Liveness, Target};
use trilby_identity::{Expect, Identity, SpiffeId};
use trilby_placement_protocol::election::{Answer, Question, Subject};
use trilby_proto::trilby::placement::v1::{self as wire, election_client::ElectionClient};

use super::{RaftConfig, upstream};
use crate::leadership::cluster::Member;

/// Questions that may be under way to one replica. More are not asked: it does not answer.
const UNDER_WAY: usize = 16;

/// How often it is found out what a replica speaks that does not answer.
const RECOGNISE_EVERY: Duration = Duration::from_secs(60);

/// An answer of a few numbers.
const MAX_ANSWER: usize = 4 * 1024;

/// How replicas prove themselves to each other.
#[derive(Clone)]
pub(crate) struct PeerTls {
    pub identity: Identity,
    /// The one name that all replicas have.
    pub own: SpiffeId,
}

pub(super) struct Peer {
    pub(super) id: String,
    pub(super) target: Target,
    tls: Option<Arc<ClientConfig>>,
    client: ElectionClient<Channel>,
    /// What each question says about who asks.
    asker: wire::Question,
    deadline: Duration,
    under_way: usize,
    silent: bool,
    recognised: Option<Instant>,
}

// === impl PeerTls ===

impl PeerTls {
    fn client(&self) -> Arc<ClientConfig> {
        let expect = Expect::Exact(self.own.clone());
        self.identity.client_tls(expect)
    }
}

/// A lease as questions carry it.
pub(super) fn millis(lease: Duration) -> u64 {
    u64::try_from(lease.as_millis()).unwrap_or(u64::MAX)
}

// === impl Peer ===

impl Peer {
    pub(super) fn new(member: &Member, config: &RaftConfig) -> anyhow::Result<Self> {
        let tls = config.tls.as_ref().map(PeerTls::client);
        let limits = ChannelConfig {
            connect_timeout: config.lease / 2,
            liveness: Liveness::Pings {
                interval: config.lease / 3,
                timeout: config.lease / 2,
            },
        };
        let channel = trilby_grpc::channel(member.address.clone(), tls.clone(), limits)?;
        let cluster = &config.cluster;
        Ok(Self {
            id: member.id.clone(),
            target: member.address.clone(),
            tls,
            client: ElectionClient::new(channel).max_decoding_message_size(MAX_ANSWER),
            asker: wire::Question {
                from: cluster.own().id.clone(),
                replicas: cluster.names(),
                address: config.address.clone(),
                lease_millis: millis(config.lease),
                ..wire::Question::default()
            },
            deadline: config.lease / 2,
            under_way: 0,
            silent: false,
            recognised: None,
        })
    }

    /// Asks it.
    pub(super) fn ask(
        &mut self,
        question: Question,
    ) -> impl Future<Output = Result<Answer, Status>> + Send + use<> {
        let busy = self.under_way >= UNDER_WAY;
        self.under_way += 1;
        let (mut client, deadline) = (self.client.clone(), self.deadline);
        let Question {
            term,
            number,
            reign,
            subject,
        } = question;
        let question = wire::Question {
            term,
            number,
            reign,
            subject: on_the_wire(subject).into(),
            ..self.asker.clone()
        };
        async move {
            if busy {
                return Err(Status::deadline_exceeded(
                    "earlier questions have no answer",
                ));
            }
            let answer = tokio::time::timeout(deadline, client.ask(question)).await;
            let late = |_| Status::deadline_exceeded(format!("no answer within {deadline:?}"));
            let wire::Answer { term, granted } = answer.map_err(late)??.into_inner();
            Ok(Answer {
                term,
                number,
                granted,
            })
        }
    }

    /// A question has come to its end. Whether it should be found out what this replica speaks.
    pub(super) fn returned(&mut self, failure: Option<&Status>) -> bool {
        self.under_way -= 1;
        let (replica, address) = (self.id.as_str(), &self.target);
        match failure {
            None if self.silent => {
                self.silent = false;
                info!(replica, %address, "replica answers again");
            }
            Some(failure) if !self.silent => {
                self.silent = true;
                let reason = failure.message();
                warn!(replica, %address, reason, "replica does not answer");
            }
            _ => {}
        }
        let late = self
            .recognised
            .is_none_or(|last| last.elapsed() >= RECOGNISE_EVERY);
        if failure.is_none() || !late {
            return false;
        }
        self.recognised = Some(Instant::now());
        true
    }

    /// Whether it is one of upstream's.
    pub(super) fn recognise(&self) -> impl Future<Output = bool> + Send + use<> {
        upstream::is_spoken(self.target.clone(), self.tls.clone(), self.deadline)
    }
}

fn on_the_wire(subject: Subject) -> wire::Subject {
    match subject {
        Subject::Canvass => wire::Subject::Canvass,
        Subject::Vote => wire::Subject::Vote,
        Subject::Beat => wire::Subject::Beat,
        Subject::Release => wire::Subject::Release,
    }
}
