//! Three electors over real sockets in plain text.

use std::net::SocketAddr;

use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use tokio::net::TcpListener;
use tonic::{Code, service::Routes};
use trilby_grpc::{ChannelConfig, ServeConfig, Target};
use trilby_identity::{ClientAuth, Expect, Identity, Publisher, Svid, TrustBundle};
use trilby_proto::trilby::placement::v1::{self as wire, election_client::ElectionClient};
use trilby_testkit::{ca::Authority, eventually::eventually};

use super::*;
use crate::metrics::Metrics;

/// Short, so that the tests are.
const LEASE: Duration = Duration::from_millis(1200);

const PLACEMENT: &str = "spiffe://cluster.local/ns/dapr-system/dapr-placement";

/// One replica until it is dropped.
struct Node {
    roles: watch::Receiver<Role>,
    resign: CancellationToken,
    stop: CancellationToken,
    server: CancellationToken,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.server.cancel();
        self.stop.cancel();
    }
}

impl Node {
    async fn start(id: &str, list: &str, listener: TcpListener) -> Self {
        let metrics = Metrics::register(&prometheus::Registry::new()).expect("fresh");
        let config = RaftConfig {
            cluster: Arc::new(Cluster::parse(id, list).expect("usable")),
            lease: LEASE,
            address: format!("{id}.example:50005"),
            tls: None,
            kept: KeptTerm::Memory,
            metrics: metrics.leadership().clone(),
        };
        let (elector, peers, source) = Elector::new(config).await.expect("usable");
        let (stop, server) = (CancellationToken::new(), CancellationToken::new());
        tokio::spawn(elector.run(stop.clone()));
        let routes = Routes::new(peers.into_server());
        let serve = (ServeConfig::new("test"), server.clone());
        tokio::spawn(trilby_grpc::serve(listener, None, routes, serve));
        Self {
            roles: source.roles,
            resign: source.resign,
            stop,
            server,
        }
    }

    fn leads(&self) -> bool {
        matches!(&*self.roles.borrow(), Role::Leader(tenure) if !tenure.is_over())
    }

    fn follows(&self) -> Option<String> {
        match &*self.roles.borrow() {
            Role::Follower { leader } => leader.clone(),
            Role::Leader(_) => None,
        }
    }
}

async fn listeners() -> Vec<(TcpListener, SocketAddr)> {
    let mut listeners = Vec::new();
    for _ in 0..3 {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("it is bound");
        listeners.push((listener, address));
    }
    listeners
}

/// Three replicas, once one of them leads and the others know.
async fn elected() -> Vec<Node> {
    let listeners = listeners().await;
    let list: Vec<String> = (0..)
        .zip(&listeners)
        .map(|(n, (_, address))| format!("r{n}={address}"))
        .collect();
    let list = list.join(",");
    let mut nodes = Vec::new();
    for (n, (listener, _)) in listeners.into_iter().enumerate() {
        nodes.push(Node::start(&format!("r{n}"), &list, listener).await);
    }
    leader_of(&nodes).await;
    nodes
}

/// The one that leads, once all others follow it.
async fn leader_of(nodes: &[Node]) -> usize {
    eventually("one leads and the others follow", async || {
        let leaders: Vec<usize> = (0..nodes.len()).filter(|n| nodes[*n].leads()).collect();
        let named = nodes.iter().filter_map(Node::follows).count();
        match leaders[..] {
            [leader] if named == nodes.len() - 1 => Ok(leader),
            _ => Err(format!("{leaders:?} lead, {named} follow")),
        }
    })
    .await
}

#[tokio::test]
async fn one_of_three_leads_and_the_others_say_where_it_is() {
    let nodes = elected().await;
    let leader = leader_of(&nodes).await;
    for node in nodes.iter().filter(|node| !node.leads()) {
        let told = node.follows().expect("it follows");
        assert!(told.ends_with(".example:50005"), "{told} of {leader}");
    }
}

#[tokio::test]
async fn resigning_leader_is_succeeded() {
    let mut nodes = elected().await;
    let leader = leader_of(&nodes).await;
    let leaving = nodes.remove(leader);
    leaving.stop.cancel();
    leaving.resign.cancel();
    leader_of(&nodes).await;
}

#[tokio::test]
async fn dead_leader_is_succeeded() {
    let mut nodes = elected().await;
    let leader = leader_of(&nodes).await;
    drop(nodes.remove(leader));
    leader_of(&nodes).await;
}

/// An identity, and what keeps it published.
fn identity(authority: &Authority, id: &str) -> (Publisher, Identity) {
    let anchors = TrustBundle::from_pem(authority.certificate().as_bytes()).expect("anchors");
    let (publisher, identity) = trilby_identity::channel(anchors);
    let credential = authority.workload(id);
    let key = PrivateKeyDer::from_pem_slice(credential.key.as_bytes()).expect("a key");
    let svid = Svid::from_pem(credential.certificate.as_bytes(), key).expect("an SVID");
    publisher.publish(svid).expect("the anchors vouch for it");
    (publisher, identity)
}

/// Asks a replica whose list is `a` and `b` as `id`, with that list.
async fn ask_as(id: &str, replicas: &str) -> Code {
    ask_with(id, replicas, 3000).await
}

async fn ask_with(id: &str, replicas: &str, lease_millis: u64) -> Code {
    let authority = Authority::new("test");
    let (_published, own) = identity(&authority, PLACEMENT);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("it is bound");
    let (asked, _inbox) = mpsc::channel(1);
    let cluster = Cluster::parse("a", "a=127.0.0.1:1,b=127.0.0.1:2").expect("usable");
    let owner = PLACEMENT.parse().expect("a SPIFFE ID");
    let peers = Peers::new(
        Arc::new(cluster),
        Duration::from_secs(3),
        Some(owner),
        asked,
    );
    let over = CancellationToken::new();
    let serve = (ServeConfig::new("test"), over.clone());
    let tls = own.server_tls(ClientAuth::Required);
    let routes = Routes::new(peers.into_server());
    tokio::spawn(trilby_grpc::serve(listener, Some(tls), routes, serve));
    let (_published, caller) = identity(&authority, id);
    let expect = Expect::Exact(PLACEMENT.parse().expect("a SPIFFE ID"));
    let target = Target {
        host: address.ip().to_string(),
        port: address.port(),
    };
    let tls = Some(caller.client_tls(expect));
    let channel = trilby_grpc::channel(target, tls, ChannelConfig::default()).expect("usable");
    let question = wire::Question {
        from: "b".to_owned(),
        replicas: replicas.to_owned(),
        lease_millis,
        ..wire::Question::default()
    };
    let answer = ElectionClient::new(channel).ask(question).await;
    over.cancel();
    answer.expect_err("nobody answers in this test").code()
}

#[tokio::test]
async fn certificate_of_another_service_is_refused() {
    let stranger = "spiffe://cluster.local/ns/dapr-system/dapr-operator";
    assert_eq!(ask_as(stranger, "a,b").await, Code::PermissionDenied);
    let elsewhere = "spiffe://cluster.local/ns/other/dapr-placement";
    assert_eq!(ask_as(elsewhere, "a,b").await, Code::PermissionDenied);
}

#[tokio::test]
async fn replica_with_another_list_or_lease_is_refused() {
    assert_eq!(ask_as(PLACEMENT, "a,b,c").await, Code::FailedPrecondition);
    let shorter = ask_with(PLACEMENT, "a,b", 2000).await;
    assert_eq!(shorter, Code::FailedPrecondition);
    // The list is right; the question lacks its subject.
    assert_eq!(ask_as(PLACEMENT, "a,b").await, Code::InvalidArgument);
}
