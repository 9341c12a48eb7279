//! Leadership by election among the replicas: carries the questions and answers of the machine that decides.

mod kept;
mod peer;
mod service;
mod upstream;

use std::{
    collections::BTreeMap,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::{debug, info, warn};
use trilby_placement_protocol::election::{
    Action, Answer, Election, Event, Question, Replica, Settings,
};

use super::{Cluster, Role, Source, Tenure};
use crate::metrics::LeaderMetrics;

pub(crate) use kept::KeptTerm;
pub(crate) use peer::PeerTls;
pub(crate) use service::Peers;

use peer::Peer;
use service::Asked;

/// Questions of others that wait for the elector. Each asks one at a time, or a few after a pause.
const QUEUE: usize = 64;

/// How long a leader that stops waits to be asked to give leadership back.
const DISMISSAL: Duration = Duration::from_secs(3);

/// How long it stays, having given it back, to vote for the next.
const FAREWELL: Duration = Duration::from_secs(1);

/// What an election needs to know.
pub(crate) struct RaftConfig {
    pub cluster: Arc<Cluster>,
    /// How long a leader leads without a quorum.
    pub lease: Duration,
    /// Where sidecars find this replica.
    pub address: String,
    pub tls: Option<PeerTls>,
    pub kept: KeptTerm,
    pub metrics: LeaderMetrics,
}

/// The one task that takes part in the election.
pub(crate) struct Elector {
    election: Election,
    config: RaftConfig,
    peers: BTreeMap<Replica, Peer>,
    inbox: mpsc::Receiver<Asked>,
    /// Who asked last, and waits.
    reply: Option<tokio::sync::oneshot::Sender<Answer>>,
    calls: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Where sidecars find each of them, as it said.
    addresses: BTreeMap<Replica, String>,
    roles: watch::Sender<Role>,
    tenure: Option<Tenure>,
    resign: CancellationToken,
}

/// What came of something that was asked.
enum Done {
    Answered(Replica, u64, Result<Answer, Status>),
    /// Whether a replica that does not answer is one of upstream's.
    Recognised(Replica, bool),
}

// === impl Elector ===

impl Elector {
    /// A replica that begins to take part, what others ask it by, and what comes of it.
    ///
    /// # Errors
    /// An address cannot be used.
    pub(crate) async fn new(config: RaftConfig) -> anyhow::Result<(Self, Peers, Source)> {
        let settings = Settings {
            replicas: config.cluster.size(),
            me: config.cluster.me(),
            lease: config.lease,
        };
        let term = config.kept.read().await;
        let start = (rand::random(), Instant::now().into_std());
        let mut peers = BTreeMap::new();
        for (replica, member) in config.cluster.members() {
            if replica != settings.me {
                peers.insert(replica, Peer::new(member, &config)?);
            }
        }
        let (asked, inbox) = mpsc::channel(QUEUE);
        let (roles, receiver) = watch::channel(Role::Follower { leader: None });
        let resign = CancellationToken::new();
        let owner = config.tls.as_ref().map(|tls| tls.own.clone());
        let service = Peers::new(Arc::clone(&config.cluster), config.lease, owner, asked);
        let source = Source {
            roles: receiver,
            resign: resign.clone(),
        };
        let elector = Self {
            election: Election::new(settings, term, start),
            config,
            peers,
            inbox,
            reply: None,
            calls: FuturesUnordered::new(),
            addresses: BTreeMap::new(),
            roles,
            tenure: None,
            resign,
        };
        Ok((elector, service, source))
    }

    /// Takes part until `stop`, then gives leadership back if it has it.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        self.turns_until(stop.cancelled()).await;
        let resign = self.resign.clone();
        let dismissed = tokio::time::timeout(DISMISSAL, resign.cancelled());
        self.turns_until(async { drop(dismissed.await) }).await;
        if !resign.is_cancelled() {
            warn!("streams are still open: the next leader waits until they must have ended");
            return;
        }
        let led = self.tenure.is_some();
        self.step(Event::Resign).await;
        if led {
            info!("leadership given back");
            self.say_farewell().await;
        }
    }

    /// Votes for the next leader.
    async fn say_farewell(&mut self) {
        let mut end = pin!(tokio::time::sleep(FAREWELL));
        while self.election.leader().is_none() || !self.calls.is_empty() {
            if !self.turn(end.as_mut()).await {
                return;
            }
        }
    }

    async fn turns_until(&mut self, interruption: impl Future<Output = ()>) {
        let mut interruption = pin!(interruption);
        while self.turn(interruption.as_mut()).await {}
    }

    /// Waits for the next thing that happens, and does what follows from it. `false`: interrupted.
    async fn turn(&mut self, interruption: Pin<&mut impl Future<Output = ()>>) -> bool {
        let deadline = self.election.deadline();
        let event = tokio::select! {
            () = interruption => return false,
            Some(asked) = self.inbox.recv() => Some(self.asked(asked)),
            Some(done) = self.calls.next() => self.done(done),
            () = until(deadline) => Some(Event::Tick),
        };
        if let Some(event) = event {
            self.step(event).await;
        }
        true
    }

    fn asked(&mut self, asked: Asked) -> Event {
        let Asked {
            from,
            question,
            address,
            reply,
        } = asked;
        if !address.is_empty() {
            self.addresses.insert(from, address);
        }
        self.reply = Some(reply);
        Event::Asked { from, question }
    }

    /// What a call that ended means for the election.
    fn done(&mut self, done: Done) -> Option<Event> {
        match done {
            Done::Answered(from, number, outcome) => {
                let peer = self.peers.get_mut(&from)?;
                if peer.returned(outcome.as_ref().err()) {
                    let recognise = peer.recognise();
                    self.calls.push(Box::pin(
                        async move { Done::Recognised(from, recognise.await) },
                    ));
                }
                let refused = Answer {
                    term: 0,
                    number,
                    granted: false,
                };
                let answer = outcome.unwrap_or(refused);
                Some(Event::Answered { from, answer })
            }
            Done::Recognised(replica, upstream) => {
                if upstream && let Some(peer) = self.peers.get(&replica) {
                    warn!(
                        replica = peer.id,
                        address = %peer.target,
                        "this replica speaks hashicorp Raft, as upstream's placement does: the two kinds cannot share a \
                         quorum, replace all replicas together"
                    );
                }
                None
            }
        }
    }

    async fn step(&mut self, event: Event) {
        for action in self.election.step(event, Instant::now().into_std()) {
            match action {
                Action::Keep { term } => {
                    self.config.metrics.term(term);
                    self.config.kept.write(term).await;
                }
                Action::Ask { to, question } => self.ask(to, question),
                Action::Answer { answer, .. } => {
                    let sent = self.reply.take().map(|reply| reply.send(answer));
                    if matches!(sent, Some(Err(_))) {
                        debug!("whoever asked has gone");
                    }
                }
                Action::Lead { term, until } => {
                    info!(term, "elected");
                    let tenure = Tenure::lasting(Instant::from_std(until), self.config.lease);
                    self.tenure = Some(tenure.clone());
                    self.roles.send_replace(Role::Leader(tenure));
                }
                Action::Extend { until } => {
                    if let Some(tenure) = &self.tenure {
                        tenure.extend(Instant::from_std(until));
                    }
                }
                Action::Cease => self.cease(),
            }
        }
        self.tell_who_leads();
    }

    fn cease(&mut self) {
        if let Some(tenure) = self.tenure.take() {
            tenure.end();
        }
        let nobody = Role::Follower { leader: None };
        self.roles.send_replace(nobody);
    }

    fn tell_who_leads(&self) {
        if self.tenure.is_some() {
            return;
        }
        let leader = self.election.leader();
        let leader = leader.and_then(|leader| self.addresses.get(&leader));
        self.roles.send_if_modified(|role| match role {
            Role::Follower { leader: before } if before.as_ref() != leader => {
                *before = leader.cloned();
                true
            }
            _ => false,
        });
    }

    fn ask(&mut self, to: Replica, question: Question) {
        if let Some(peer) = self.peers.get_mut(&to) {
            let (number, call) = (question.number, peer.ask(question));
            self.calls.push(Box::pin(
                async move { Done::Answered(to, number, call.await) },
            ));
        }
    }
}

async fn until(deadline: Option<std::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(Instant::from_std(deadline)).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
