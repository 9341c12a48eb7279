//! A runtime for unit tests whose surroundings never answer.

use std::{future::pending, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::watch;
use trilby_proto::internals::v1::{InternalInvokeRequest, InternalInvokeResponse};
use trilby_resiliency::Resiliency;

use crate::{
    ActorKey, ActorRequest, ActorResponse, Actors, AppCallback, AppFailure, Peer, Peers, Settings,
    StateTtl, Surroundings, TimerFire,
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

/// The runtime of an app that has not said what it hosts.
pub(crate) fn silent_actors() -> Actors {
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
        observer: Arc::new(()),
        resiliency: Resiliency::new(Arc::new(trilby_resiliency::Silent)),
    };
    Actors::new(settings, surroundings)
}
