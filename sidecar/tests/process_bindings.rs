//! Events of the clock from the real binary to real applications of both protocols.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use http::{Method, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use trilby_testkit::assert_eventually;
use trilby_testkit::services::Daprd;

/// An application that counts its events.
#[derive(Clone)]
struct App {
    healthy: Arc<AtomicBool>,
    /// How often it was asked for its health.
    probes: Arc<AtomicUsize>,
    events: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
    /// How many events it may answer.
    may: Arc<Semaphore>,
}

impl App {
    async fn start(may: usize) -> (Self, u16) {
        let app = Self {
            healthy: Arc::default(),
            probes: Arc::default(),
            events: Arc::default(),
            answered: Arc::default(),
            may: Arc::new(Semaphore::new(may)),
        };
        let (probed, told) = (app.clone(), app.clone());
        let health = move || async move {
            probed.probes.fetch_add(1, Ordering::SeqCst);
            match probed.healthy.load(Ordering::SeqCst) {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            }
        };
        let event = move |request: Request| async move { told.event(request).await };
        let router = Router::new()
            .route("/healthz", any(health))
            .route("/tick", any(event));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (app, port)
    }

    async fn event(self, request: Request) -> Response {
        if request.method() != Method::POST {
            return Response::default();
        }
        assert!(request.headers().contains_key("readtimeutc"));
        self.events.fetch_add(1, Ordering::SeqCst);
        self.may.acquire().await.unwrap().forget();
        self.answered.fetch_add(1, Ordering::SeqCst);
        Response::default()
    }

    fn heard(&self) -> usize {
        self.events.load(Ordering::SeqCst)
    }
}

fn write(folder: &Path, schedule: &str) {
    let component = format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: tick\nspec:\n  type: bindings.cron\n  \
         version: v1\n  metadata:\n  - name: schedule\n    value: '{schedule}'\n"
    );
    let new = folder.join("component.new");
    std::fs::write(&new, component).unwrap();
    std::fs::rename(new, folder.join("component.yaml")).unwrap();
}

fn daprd(folder: &Path, port: u16) -> Daprd {
    let daprd = Daprd::new("clock").app_port(port);
    daprd.arg("--resources-path", folder.display())
}

#[tokio::test]
async fn events_come_while_the_application_is_healthy_and_not_without() {
    let (app, port) = App::start(Semaphore::MAX_PERMITS).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "@every 50ms");
    let mut daprd = daprd(folder.path(), port)
        .raw_arg("--enable-app-health-check")
        .arg("--app-health-check-path", "/healthz")
        .arg("--app-health-probe-interval", 1)
        .arg("--app-health-threshold", 1);
    daprd.launch();
    daprd.log().wait_for("application discovered").await;
    assert_eq!(app.heard(), 0);
    app.healthy.store(true, Ordering::SeqCst);
    assert_eventually!(app.heard() > 2);
    app.healthy.store(false, Ordering::SeqCst);
    daprd
        .log()
        .wait_for("no longer reading from input binding tick")
        .await;
    let (before, probes) = (app.heard(), app.probes.load(Ordering::SeqCst));
    assert_eventually!(app.probes.load(Ordering::SeqCst) > probes + 2);
    assert_eq!(app.heard(), before);
    app.healthy.store(true, Ordering::SeqCst);
    assert_eventually!(app.heard() > before + 2);
}

#[tokio::test]
async fn a_changed_schedule_is_followed_and_one_that_is_none_leaves_it_in_force() {
    let (app, port) = App::start(Semaphore::MAX_PERMITS).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "0 0 1 1 *");
    let mut daprd = daprd(folder.path(), port);
    daprd.start().await;
    daprd
        .log()
        .wait_for("reading from input binding tick")
        .await;
    assert_eq!(app.heard(), 0);
    write(folder.path(), "@every 50ms");
    assert_eventually!(app.heard() > 2);
    write(folder.path(), "often");
    daprd
        .log()
        .wait_for("invalid schedule format 'often'")
        .await;
    let before = app.heard();
    assert_eventually!(app.heard() > before + 2);
    let metrics = daprd.metrics().await;
    assert!(metrics.contains("dapr_component_input_binding_count{"));
}

#[tokio::test]
async fn the_end_waits_for_events_that_are_being_handled() {
    let (app, port) = App::start(0).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "@every 50ms");
    let mut daprd = daprd(folder.path(), port).arg("--dapr-graceful-shutdown-seconds", 120);
    daprd.start().await;
    assert_eventually!(app.heard() > 0);
    daprd.ask_to_end();
    daprd.log().wait_for("stopping").await;
    app.may.add_permits(Semaphore::MAX_PERMITS);
    daprd.ended(std::time::Duration::from_secs(60)).await;
    let (heard, answered) = (app.heard(), app.answered.load(Ordering::SeqCst));
    assert_eq!(heard, answered);
}
