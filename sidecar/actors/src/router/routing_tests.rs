use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;
use trilby_placement_protocol::client::{Client, Event, HostEntry, Tables};

use super::*;
use crate::HostedActors;
use crate::testing::silent_actors;

fn actors() -> Actors {
    let actors = silent_actors();
    actors.set_hosted(Some(HostedActors::default()));
    actors
}

/// A table in force in which `host` has all cats.
fn table(host: &str) -> Arc<Routing> {
    let mut client = Client::new(Duration::from_secs(30));
    let entry = HostEntry {
        key: host.into(),
        host: HostRef {
            address: host.into(),
            app_id: "other".into(),
            port: 0,
        },
    };
    let tables = Tables {
        replication: 10,
        entries: [("cat".into(), vec![entry])].into(),
    };
    let now = Instant::now().into_std();
    for event in [
        Event::Update { version: 1, tables },
        Event::Settled { version: 1 },
        Event::Unlock { version: 1 },
    ] {
        client.step(event, now);
    }
    Arc::clone(client.routing())
}

#[tokio::test(start_paused = true)]
async fn a_call_at_a_peer_does_not_hold_up_a_round_here() {
    let actors = actors();
    let runtime = actors.runtime().expect("it is enabled");
    runtime.publish(table("10.0.0.2:50002"));
    let mut call = Box::pin(actors.invoke(ActorRequest::new(ActorKey::new("cat", "1"), "purr")));
    assert!(call.as_mut().now_or_never().is_none());
    let begin = Instant::now();
    runtime.claims.drain("cat", Duration::from_secs(2)).await;
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_sidecar_without_a_table_sends_callers_elsewhere_at_once() {
    let actors = actors();
    let begin = Instant::now();
    let call = actors.invoke_local(ActorRequest::new(ActorKey::new("cat", "1"), "purr"));
    let error = call.await.expect_err("nothing is owned here");
    assert_eq!(
        error.to_string(),
        "error invoke actor method: remote actor moved"
    );
    assert_eq!(begin.elapsed(), Duration::ZERO);
}
