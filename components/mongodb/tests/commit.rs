//! What becomes of a transaction whose commit nobody answers.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use trilby_components::RequestMetadata;
use trilby_components::metadata::Metadata;
use trilby_components::registry::{ComponentContext, Instance, Registry};
use trilby_components::state::{GetRequest, Operation, SetRequest, StateError, Value};
use trilby_testkit::servers::mongodb::{MongoDb, REPLICA_SET};

/// A way to a server that breaks whenever a transaction is to be committed.
struct Way {
    address: SocketAddr,
    commits: Arc<AtomicUsize>,
}

impl Way {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let commits = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&commits);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(server).await.unwrap();
                tokio::spawn(carry(client, server, Arc::clone(&counted)));
            }
        });
        Self { address, commits }
    }
}

async fn carry(client: TcpStream, server: TcpStream, commits: Arc<AtomicUsize>) {
    let (mut asked, mut answering) = client.into_split();
    let (mut answers, mut asking) = server.into_split();
    let there = async {
        // A message is written whole: the words of one stand in one piece, or in the next that is looked at.
        let mut piece = vec![0; 1 << 20];
        while let Ok(length @ 1..) = asked.read(&mut piece).await {
            if piece[..length]
                .windows(17)
                .any(|word| word == b"commitTransaction")
            {
                commits.fetch_add(1, Ordering::SeqCst);
                return;
            }
            asking.write_all(&piece[..length]).await.unwrap();
        }
    };
    tokio::select! {
        () = there => {}
        _ = copy(&mut answers, &mut answering) => {}
    }
}

/// Upstream discards the error of a commit, and says that all is written.
#[tokio::test]
async fn a_commit_that_fails_is_no_success() {
    let server = MongoDb::start().await;
    let way = Way::to(server.address()).await;
    let (host, params) = (
        way.address.to_string(),
        format!("directConnection=true&replicaSet={REPLICA_SET}"),
    );
    let pairs = [
        ("host", host.as_str()),
        ("params", &params),
        ("operationTimeout", "60s"),
    ];
    let registry = Registry::default().with(trilby_components_mongodb::backends());
    let (context, metadata) = (ComponentContext::default(), Metadata::new(pairs).unwrap());
    let created = registry.create("state.mongodb", "v1", context, metadata);
    let Ok(Instance::State(store)) = created.await else {
        panic!("the server runs")
    };
    let write = |key| Operation::Upsert(SetRequest::new(key, Value::Binary("x".into())));
    let transactional = store.transactional().unwrap();
    let operations = vec![write("a"), write("b")];
    let lost = transactional
        .transact(operations, &RequestMetadata::new())
        .await;
    assert!(matches!(lost, Err(StateError::Unavailable(_))), "{lost:?}");
    assert_ne!(way.commits.load(Ordering::SeqCst), 0);
    for key in ["a", "b"] {
        assert_eq!(store.get(GetRequest::new(key)).await.unwrap(), None);
    }
}
