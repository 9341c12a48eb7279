use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use trilby_components::name_resolution::{
    Instance, NameResolver, Query, ResolveError, ResolverBackend,
};
use trilby_components::registry::{InitError, Registry};
use trilby_crds::ConfigurationSpec;

use super::{Following, Names};

const QUERY: Query<'static> = Query {
    app_id: "b",
    namespace: "ns",
    port: 50002,
};

/// What the resolvers of one test do and have done.
#[derive(Debug, Default)]
struct Stage {
    /// How many attempts fail before one succeeds.
    failures: AtomicUsize,
    attempts: AtomicUsize,
    withdrawn: AtomicUsize,
    break_down: Notify,
}

#[derive(Debug)]
struct Actor {
    answer: String,
    stage: Arc<Stage>,
}

#[async_trait]
impl NameResolver for Actor {
    async fn resolve(&self, _: &Query<'_>) -> Result<String, ResolveError> {
        Ok(self.answer.clone())
    }

    async fn keep(&self) -> ResolveError {
        self.stage.break_down.notified().await;
        ResolveError("the directory is gone".to_owned())
    }

    async fn withdraw(&self) {
        self.stage.withdrawn.fetch_add(1, Ordering::SeqCst);
    }
}

impl Stage {
    fn create(
        self: Arc<Self>,
        settings: &serde_json::Value,
    ) -> Result<Arc<dyn NameResolver>, InitError> {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        let answer = settings["answer"].as_str();
        let Some(answer) = answer.map(ToOwned::to_owned) else {
            return Err(InitError::Invalid("answer is missing".to_owned()));
        };
        let failing = self.failures.load(Ordering::SeqCst);
        if failing > 0 {
            self.failures.store(failing - 1, Ordering::SeqCst);
            return Err(InitError::Unavailable("directory is away".to_owned()));
        }
        Ok(Arc::new(Actor {
            answer,
            stage: self,
        }))
    }
}

struct Scene {
    stage: Arc<Stage>,
    names: Names,
    configuration: watch::Sender<Arc<ConfigurationSpec>>,
    serving: CancellationToken,
    closing: CancellationToken,
}

fn asking_for(settings: &serde_json::Value) -> Arc<ConfigurationSpec> {
    let spec = json!({ "nameResolution": { "component": "acted", "configuration": settings } });
    Arc::new(serde_json::from_value(spec).unwrap())
}

impl Scene {
    fn start(settings: &serde_json::Value, failures: usize) -> Self {
        let stage = Arc::new(Stage::default());
        stage.failures.store(failures, Ordering::SeqCst);
        let shared = Arc::clone(&stage);
        let backend = ResolverBackend::new("acted", move |_, settings| {
            let created = Arc::clone(&shared).create(&settings);
            async { created }
        });
        let (configuration, receiver) = watch::channel(asking_for(settings));
        let scene = Self {
            stage,
            names: Names::default(),
            configuration,
            serving: CancellationToken::new(),
            closing: CancellationToken::new(),
        };
        let following = Following {
            names: scene.names.clone(),
            registry: Registry::default().with_resolvers(vec![backend]),
            configuration: receiver,
            default: "mdns",
            instance: Instance::default(),
        };
        tokio::spawn(following.run(scene.serving.clone(), scene.closing.clone()));
        scene
    }

    async fn resolve(&self) -> Result<String, String> {
        let resolved = self.names.resolve(&QUERY).await;
        resolved.map_err(|error| error.to_string())
    }

    /// Asks until the answer is `wanted`; time is virtual.
    async fn becomes(&self, wanted: Result<&str, &str>) {
        for _ in 0..1000 {
            if self.resolve().await.as_deref().map_err(String::as_str) == wanted {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert_eq!(
            self.resolve().await.as_deref().map_err(String::as_str),
            wanted
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_question_waits_for_the_first_attempt() {
    let scene = Scene::start(&json!({ "answer": "1.1.1.1:1" }), 0);
    assert_eq!(scene.resolve().await.as_deref(), Ok("1.1.1.1:1"));
    assert_eq!(scene.names.error(), None);
}

#[tokio::test(start_paused = true)]
async fn a_first_attempt_is_over_also_when_it_failed() {
    let names = Names::default();
    let waiting = tokio::time::timeout(std::time::Duration::from_secs(3600), names.settled());
    assert!(waiting.await.is_err(), "nothing was tried");
    let scene = Scene::start(&json!({}), 0);
    scene.names.settled().await;
    assert!(scene.names.error().is_some());
    let scene = Scene::start(&json!({ "answer": "1.1.1.1:1" }), 0);
    scene.names.settled().await;
    assert_eq!(scene.names.error(), None);
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_fails_says_why_and_is_created_again() {
    let scene = Scene::start(&json!({ "answer": "1.1.1.1:1" }), 3);
    let refused = scene.resolve().await.unwrap_err();
    assert_eq!(
        refused,
        "name resolver not initialized: acted: directory is away"
    );
    assert_eq!(
        scene.names.error().as_deref(),
        Some("acted: directory is away")
    );
    scene.becomes(Ok("1.1.1.1:1")).await;
    assert_eq!(scene.stage.attempts.load(Ordering::SeqCst), 4);
    assert_eq!(scene.names.error(), None);
}

#[tokio::test(start_paused = true)]
async fn wrong_settings_are_not_tried_again_until_they_change() {
    let scene = Scene::start(&json!({}), 0);
    let refused = scene.resolve().await.unwrap_err();
    assert!(refused.contains("answer is missing"), "{refused}");
    tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    assert_eq!(scene.stage.attempts.load(Ordering::SeqCst), 1);
    let better = asking_for(&json!({ "answer": "1.1.1.1:1" }));
    scene.configuration.send_replace(better);
    scene.becomes(Ok("1.1.1.1:1")).await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_update_leaves_the_resolver_of_before_and_a_good_one_replaces_it() {
    let scene = Scene::start(&json!({ "answer": "1.1.1.1:1" }), 0);
    scene.becomes(Ok("1.1.1.1:1")).await;
    scene.configuration.send_replace(asking_for(&json!({})));
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert_eq!(scene.resolve().await.as_deref(), Ok("1.1.1.1:1"));
    assert_eq!(scene.stage.withdrawn.load(Ordering::SeqCst), 0);
    let better = asking_for(&json!({ "answer": "2.2.2.2:2" }));
    scene.configuration.send_replace(better);
    scene.becomes(Ok("2.2.2.2:2")).await;
    assert_eq!(scene.stage.withdrawn.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_elsewhere_in_the_configuration_leaves_the_resolver_alone() {
    let scene = Scene::start(&json!({ "answer": "1.1.1.1:1" }), 0);
    scene.becomes(Ok("1.1.1.1:1")).await;
    scene
        .configuration
        .send_replace(asking_for(&json!({ "answer": "1.1.1.1:1" })));
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert_eq!(scene.stage.attempts.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_breaks_down_is_replaced() {
    let scene = Scene::start(&json!({ "answer": "1.1.1.1:1" }), 0);
    scene.becomes(Ok("1.1.1.1:1")).await;
    scene.stage.break_down.notify_one();
    scene
        .becomes(Err(
            "name resolver not initialized: acted: the directory is gone",
        ))
        .await;
    scene.becomes(Ok("1.1.1.1:1")).await;
    assert_eq!(scene.stage.attempts.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn an_ending_sidecar_withdraws_first_and_resolves_until_it_closes() {
    let scene = Scene::start(&json!({ "answer": "1.1.1.1:1" }), 0);
    scene.becomes(Ok("1.1.1.1:1")).await;
    scene.serving.cancel();
    while scene.stage.withdrawn.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(scene.resolve().await.as_deref(), Ok("1.1.1.1:1"));
    scene.closing.cancel();
}
