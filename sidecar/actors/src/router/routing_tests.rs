use std::{future::pending, time::Duration};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use tokio::{sync::watch, time::Instant};
use trilby_placement_protocol::client::{Client, Event, HostEntry, Tables};
use trilby_proto::internals::v1::{InternalInvokeRequest, InternalInvokeResponse};

use super::*;
use crate::{
    AppCallback, AppFailure, HostedActors, Peers, Settings, StateTtl, Surroundings, TimerFire,
};

/// Neither app nor peer ever answers.
struct Silent;

#[async_trait]
impl AppCallback for Silent {
    async fn invoke(&self, _: ActorRequest) -> Result<ActorResponse, AppFailure> {
        pending().await
    }

    async fn timer(&self, _: &ActorKey, _: TimerFire) -> Result<ActorResponse, AppFailure> {
        pending().await
    }

    async fn deactivate(&self, _: &ActorKey) -> Result<(), AppFailure> {
        Ok(())
    }
}

#[async_trait]
impl Peers for Silent {
    async fn call_actor(
        &self,
        _: &Peer,
        _: InternalInvokeRequest,
    ) -> Result<InternalInvokeResponse, tonic::Status> {
        pending().await
    }
}

fn actors() -> Actors {
    let settings = Settings {
        app_id: "app".into(),
        namespace: "default".into(),
        host_address: "10.0.0.1:50002".into(),
        disseminate_timeout: Duration::from_secs(30),
        state_ttl: StateTtl::Refused,
    };
    let (_, store) = watch::channel(None);
    let surroundings = Surroundings {
        app: Arc::new(Silent),
        peers: Arc::new(Silent),
        store,
    };
    let actors = Actors::new(settings, surroundings);
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
