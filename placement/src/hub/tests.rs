use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use prost::Message as _;
use tonic::Code;
use trilby_placement_protocol::{
    Phase,
    server::{Ack, Dialect},
};
use trilby_proto::placement::v1::{Host, PlacementOrder};

use super::*;

/// A hub under virtual time, and the streams of a test.
struct Fixture {
    notices: Notices,
    cancel: CancellationToken,
    tenure: Tenure,
    tables: Tables,
    streams: AtomicU64,
}

struct Client {
    stream: StreamId,
    orders: Orders,
    notices: Notices,
}

impl Fixture {
    fn start() -> Self {
        let metrics = Metrics::register(&prometheus::Registry::new()).expect("fresh");
        let rounds = Settings {
            timeout: Duration::from_secs(8),
            straggler: Duration::from_secs(1),
            coalesce: Duration::ZERO,
            lease: Duration::from_secs(3),
        };
        let (cancel, tables) = (CancellationToken::new(), Tables::default());
        let config = HubConfig {
            rounds,
            replication: 100,
            settle: Duration::ZERO,
        };
        let (mut hub, notices) = Hub::new(config, metrics, Some(tables.clone()));
        let (tenure, stop) = (Tenure::endless(), cancel.clone());
        let term = tenure.clone();
        tokio::spawn(async move {
            hub.run(&term, &stop).await;
            hub.dismiss(Status::unavailable("over"), Duration::from_secs(1))
                .await
        });
        Self {
            notices,
            cancel,
            tenure,
            tables,
            streams: AtomicU64::new(0),
        }
    }

    async fn join(&self, namespace: &str, name: &str, entities: &[&str]) -> Client {
        let host = Host {
            name: name.into(),
            id: "app".into(),
            namespace: namespace.into(),
            entities: entities.iter().map(|entity| (*entity).to_owned()).collect(),
            ..Host::default()
        };
        let (outbox, orders) = outbox();
        let stream = StreamId(self.streams.fetch_add(1, Relaxed));
        let member = wire::member(host);
        let joined = Notice::Joined {
            stream,
            namespace: namespace.into(),
            member,
            announced: Announced {
                dialect: Dialect::Plain,
                returning: false,
            },
            outbox,
        };
        assert!(self.notices.send(joined).await.is_ok());
        Client {
            stream,
            orders,
            notices: self.notices.clone(),
        }
    }
}

impl Client {
    async fn next(&mut self) -> PlacementOrder {
        let order = self.orders.next().await.expect("an order");
        PlacementOrder::decode(order.slice(wire::FRAME..)).expect("it is encoded as such")
    }

    async fn ack(&self, phase: Phase, version: u64) {
        let message = Message::Ack(Ack {
            phase,
            version: Some(version),
        });
        let said = Notice::Said {
            stream: self.stream,
            message,
        };
        assert!(self.notices.send(said).await.is_ok());
    }

    /// Goes through a whole round and returns its table.
    async fn round(&mut self, version: u64) -> PlacementOrder {
        assert_eq!(self.next().await.operation, Phase::Lock.as_str());
        self.ack(Phase::Lock, version).await;
        self.rest_of_round(version).await
    }

    async fn rest_of_round(&mut self, version: u64) -> PlacementOrder {
        let mut table = None;
        for phase in [Phase::Update, Phase::Unlock] {
            let order = self.next().await;
            assert_eq!(
                (order.operation.as_str(), order.version),
                (phase.as_str(), version)
            );
            table = table.or((phase == Phase::Update).then_some(order));
            self.ack(phase, version).await;
        }
        table.expect("one order was the table")
    }
}

#[tokio::test(start_paused = true)]
async fn order_carries_every_field_that_sidecars_read() {
    let fixture = Fixture::start();
    let mut client = fixture.join("n", "10.0.0.1:50002", &["A", "B"]).await;
    let tables = client.round(1).await.tables.expect("an update has them");
    #[expect(deprecated, reason = "old sidecars read it")]
    let version = tables.version.as_str();
    assert_eq!((version, tables.replication_factor), ("1", 100));
    let mut types: Vec<_> = tables.entries.keys().map(String::as_str).collect();
    types.sort_unstable();
    assert_eq!(types, ["A", "B"]);
    let host = &tables.entries["A"].load_map["10.0.0.1:50002"];
    assert_eq!((host.id.as_str(), host.namespace.as_str()), ("app", "n"));
}

#[tokio::test(start_paused = true)]
async fn namespaces_do_not_see_each_other() {
    let fixture = Fixture::start();
    let mut one = fixture.join("one", "h1", &["A"]).await;
    one.round(1).await;
    let mut two = fixture.join("two", "h2", &["B"]).await;
    let tables = two.round(1).await.tables.expect("an update has them");
    assert_eq!(tables.entries.len(), 1);
    assert!(tables.entries.contains_key("B"));
}

#[tokio::test(start_paused = true)]
async fn dropped_stream_leaves_the_table() {
    let fixture = Fixture::start();
    let mut one = fixture.join("n", "h1", &["A"]).await;
    one.round(1).await;
    let mut two = fixture.join("n", "h2", &["A"]).await;
    tokio::join!(one.round(2), two.round(2));
    drop(two);
    let tables = one.round(3).await.tables.expect("an update has them");
    assert_eq!(tables.entries["A"].load_map.len(), 1);
    assert!(!fixture.tables.json().contains("h2"));
}

#[tokio::test(start_paused = true)]
async fn silent_stream_is_ended_and_the_others_go_on() {
    let fixture = Fixture::start();
    let mut one = fixture.join("n", "h1", &["A"]).await;
    one.round(1).await;
    let mut silent = fixture.join("n", "h2", &["A"]).await;
    assert_eq!(one.next().await.version, 2);
    one.ack(Phase::Lock, 2).await;
    assert_eq!(silent.next().await.version, 2);
    let status = silent.orders.next().await.expect_err("the round expires");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(
        status.message(),
        "dissemination timeout after 1s for version 2"
    );
    let tables = one
        .rest_of_round(2)
        .await
        .tables
        .expect("an update has them");
    assert_eq!(tables.entries["A"].load_map.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn stream_that_does_not_read_is_ended() {
    let fixture = Fixture::start();
    let mut client = fixture.join("n", "h1", &[]).await;
    let report = || {
        let host = Host {
            name: "h1".into(),
            id: "app".into(),
            namespace: "n".into(),
            ..Host::default()
        };
        Notice::Said {
            stream: client.stream,
            message: Message::Report(wire::member(host)),
        }
    };
    for _ in 0..40 {
        assert!(fixture.notices.send(report()).await.is_ok());
    }
    // The hub has taken all of it when it answers somebody else.
    fixture.join("other", "h2", &[]).await;
    let status = client
        .orders
        .next()
        .await
        .expect_err("it is too far behind");
    assert_eq!(status.code(), Code::ResourceExhausted);
}

#[tokio::test(start_paused = true)]
async fn version_is_forgotten_with_the_last_stream() {
    let fixture = Fixture::start();
    let mut one = fixture.join("n", "h1", &["A"]).await;
    one.round(1).await;
    drop(one);
    let mut again = fixture.join("n", "h1", &["A"]).await;
    again.round(1).await;
    drop(again);
    tokio::task::yield_now().await;
    assert_eq!(fixture.tables.json(), "{}");
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_every_stream() {
    let fixture = Fixture::start();
    let mut client = fixture.join("n", "h1", &[]).await;
    fixture.cancel.cancel();
    let status = loop {
        if let Err(status) = client.orders.next().await {
            break status;
        }
    };
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.message(), "over");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_once_the_tenure_is_over() {
    let fixture = Fixture::start();
    let mut client = fixture.join("n", "h1", &["A"]).await;
    assert_eq!(client.next().await.version, 1);
    // As after a freeze: the acknowledgement is there when the hub wakes up, and so is the end.
    fixture.tenure.end();
    client.ack(Phase::Lock, 1).await;
    let status = client.orders.next().await.expect_err("no table");
    assert_eq!(status.message(), "over");
}

#[tokio::test(start_paused = true)]
async fn metrics_count_streams_by_namespace() {
    let registry = prometheus::Registry::new();
    let metrics = Metrics::register(&registry).expect("fresh");
    metrics.connected("n", true);
    metrics.connected("n", false);
    metrics.disconnected("n", true);
    metrics.leadership().following();
    metrics.leadership().leading();
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&registry.gather())
        .expect("text");
    for line in [
        r#"dapr_placement_runtimes_total{host_namespace="n"} 1"#,
        r#"dapr_placement_actor_runtimes_total{host_namespace="n"} 0"#,
        "dapr_placement_leader_status 1",
        "dapr_placement_raft_leader_status 1",
    ] {
        assert!(
            text.lines().any(|it| it == line),
            "{line} is missing in:\n{text}"
        );
    }
}
