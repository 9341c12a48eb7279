use trilby_placement_protocol::client::{HostEntry, HostRef, Tables};

use super::*;
use crate::testing::silent_actors;

fn connection() -> Connection {
    let actors = silent_actors();
    Connection {
        client: Client::new(Duration::from_secs(30)),
        runtime: Arc::clone(actors.runtime().expect("it is enabled")),
        settling: None,
        had_table: false,
        route: nowhere(),
        shutdown: CancellationToken::new(),
    }
}

fn nowhere() -> Route {
    let target = "127.0.0.1:1".parse().expect("an address");
    let limits = trilby_grpc::ChannelConfig::default();
    let channel = trilby_grpc::channel(target, None, limits).expect("usable");
    Route::listed(vec![channel])
}

fn update(version: u64, types: &[&str]) -> Event {
    let host = HostRef {
        address: "10.0.0.2:50002".into(),
        app_id: "other".into(),
        port: 0,
    };
    let entry = HostEntry {
        key: "10.0.0.2:50002".into(),
        host,
    };
    let entries = types
        .iter()
        .map(|name| ((*name).into(), vec![entry.clone()]))
        .collect();
    Event::Update {
        version,
        tables: Tables {
            replication: 10,
            entries,
        },
    }
}

#[tokio::test(start_paused = true)]
async fn a_round_that_follows_at_once_does_not_cut_short_what_the_first_lets_end() {
    let (outbox, _messages) = mpsc::channel(OUTBOX);
    let mut connection = connection();
    let claim = connection.runtime.claims.claim("cat");
    let call =
        tokio::spawn(async move { claim.run(tokio::time::sleep(Duration::from_secs(1))).await });
    connection
        .step(update(1, &["cat"]), &outbox)
        .await
        .expect("the stream is open");
    assert!(
        tokio::time::timeout(
            Duration::from_millis(100),
            settled(&mut connection.settling)
        )
        .await
        .is_err(),
        "the call is under way"
    );
    connection
        .step(update(2, &["cat", "dog"]), &outbox)
        .await
        .expect("the stream is open");
    assert_eq!(settled(&mut connection.settling).await, 2);
    assert_eq!(
        call.await.expect("no panic"),
        Some(()),
        "it had time to end"
    );
}
