use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use super::Host;
use crate::message::first;
use crate::{
    ActorError, ActorKey, ActorRequest, ActorResponse, AppCallback, AppFailure, REENTRANCY_HEADER,
    TimerFire, TypeSettings,
};

/// Takes a second for each call and writes down what it sees.
#[derive(Default)]
struct App {
    seen: Mutex<Vec<String>>,
    status: u16,
}

#[async_trait]
impl AppCallback for App {
    async fn invoke(&self, request: ActorRequest) -> Result<ActorResponse, AppFailure> {
        self.seen.lock().push(format!("begin {}", request.method));
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.seen.lock().push(format!("end {}", request.method));
        let chain = first(&request.metadata, REENTRANCY_HEADER)
            .unwrap_or_default()
            .to_owned();
        let status = if self.status == 0 { 200 } else { self.status };
        Ok(ActorResponse {
            status,
            data: Bytes::from(chain),
            ..ActorResponse::default()
        })
    }

    async fn timer(&self, _: &ActorKey, _: TimerFire) -> Result<ActorResponse, AppFailure> {
        Err(AppFailure::NotConnected)
    }

    async fn deactivate(&self, actor: &ActorKey) -> Result<(), AppFailure> {
        self.seen.lock().push(format!("deactivate {actor}"));
        Ok(())
    }
}

const SETTINGS: TypeSettings = TypeSettings {
    idle_timeout: Duration::from_secs(60),
    drain_timeout: Duration::from_secs(2),
    reentrancy: None,
};

fn cat() -> ActorKey {
    ActorKey::new("cat", "1")
}

fn host(status: u16) -> (Arc<App>, Host) {
    let app = Arc::new(App {
        status,
        ..App::default()
    });
    (Arc::clone(&app), Host::new(app, Arc::new(())))
}

#[tokio::test(start_paused = true)]
async fn calls_of_one_actor_do_not_overlap() {
    let (app, host) = host(200);
    let (first, second) = tokio::join!(
        host.call(ActorRequest::new(cat(), "a"), SETTINGS),
        host.call(ActorRequest::new(cat(), "b"), SETTINGS),
    );
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(*app.seen.lock(), ["begin a", "end a", "begin b", "end b"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_app_refuses_is_an_error_with_its_words() {
    for (status, text) in [
        (
            404,
            "error invoke actor method: actor method not found: actors/cat/1/method/a",
        ),
        (
            500,
            "error invoke actor method: error from actor service: (500) ",
        ),
    ] {
        let (_, host) = host(status);
        let error = host
            .call(ActorRequest::new(cat(), "a"), SETTINGS)
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reentrant_type_gets_a_chain_id_that_it_can_pass_on() {
    let (_, host) = host(200);
    let settings = TypeSettings {
        reentrancy: Some(1),
        ..SETTINGS
    };
    let answer = host
        .call(ActorRequest::new(cat(), "a"), settings)
        .await
        .unwrap();
    assert!(!answer.data.is_empty());

    let mut request = ActorRequest::new(cat(), "a");
    request
        .metadata
        .insert("dapr-reentrancy-id".into(), vec!["mine".into()]);
    let (outer, inner) = tokio::join!(
        host.call(request.clone(), settings),
        host.call(request, settings)
    );
    assert_eq!(outer.unwrap().data, "mine");
    assert_eq!(inner.unwrap_err(), ActorError::StackDepth);
}

#[tokio::test(start_paused = true)]
async fn an_unused_actor_is_deactivated_after_its_idle_timeout() {
    let (app, host) = host(200);
    let calls = async {
        host.call(ActorRequest::new(cat(), "a"), SETTINGS)
            .await
            .unwrap();
        tokio::time::sleep(SETTINGS.idle_timeout - Duration::from_secs(5)).await;
        host.call(ActorRequest::new(cat(), "b"), SETTINGS)
            .await
            .unwrap();
        tokio::time::sleep(SETTINGS.idle_timeout - Duration::from_secs(5)).await;
        assert!(host.is_active(&cat()), "it was used");
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert!(!host.is_active(&cat()));
    };
    tokio::select! {
        () = host.deactivate_idle() => unreachable!("it never ends"),
        () = calls => {}
    }
    assert_eq!(app.seen.lock().last().unwrap(), "deactivate cat||1");
}

#[tokio::test(start_paused = true)]
async fn an_actor_is_not_activated_anew_before_its_deactivation_is_over() {
    let (app, host) = host(200);
    host.call(ActorRequest::new(cat(), "a"), SETTINGS)
        .await
        .unwrap();
    let (_, again) = tokio::join!(
        host.deactivate_where(|actor| *actor == cat()),
        host.call(ActorRequest::new(cat(), "b"), SETTINGS),
    );
    assert!(again.is_ok());
    assert_eq!(
        *app.seen.lock(),
        ["begin a", "end a", "deactivate cat||1", "begin b", "end b"]
    );
}
