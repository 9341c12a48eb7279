use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{
    Arrivals, Backend, Block, ComponentContext, CreateError, InitError, Instance, Registry,
    TypeSource,
};
use crate::metadata::Metadata;

fn context() -> ComponentContext {
    ComponentContext {
        name: "store".into(),
        ..ComponentContext::default()
    }
}

async fn create(type_name: &str, version: &str) -> Result<Instance, CreateError> {
    Registry::in_memory()
        .create(type_name, version, context(), Metadata::default())
        .await
}

async fn refusal(type_name: &str, version: &str) -> String {
    create(type_name, version).await.unwrap_err().to_string()
}

#[tokio::test]
async fn an_unversioned_type_answers_to_its_first_versions_in_any_case() {
    for (type_name, version) in [
        ("state.in-memory", ""),
        ("state.in-memory", "v0"),
        ("State.In-Memory", "V1"),
    ] {
        let instance = create(type_name, version).await.unwrap();
        assert!(
            matches!(instance, Instance::State(_)),
            "{type_name}/{version}"
        );
    }
}

#[tokio::test]
async fn another_version_is_refused_with_those_that_exist() {
    assert_eq!(
        refusal("state.in-memory", "v2").await,
        "couldn't find state store state.in-memory/v2: it has v1, v0"
    );
}

#[tokio::test]
async fn a_misspelt_type_is_answered_with_its_neighbours() {
    assert_eq!(
        refusal("state.reddis", "v1").await,
        "couldn't find state store state.reddis/v1. Did you mean state.redis?"
    );
    assert_eq!(
        refusal("secretstore.kubernetes", "v1").await,
        "incorrect type secretstore.kubernetes: it has to start with one of state., secretstores., \
         pubsub., bindings., configuration., lock., crypto., conversation., middleware.http., workflow."
    );
    assert_eq!(
        refusal("state.something-else", "").await,
        "couldn't find state store state.something-else/"
    );
}

#[tokio::test]
async fn a_type_behind_a_feature_names_the_feature() {
    assert!(matches!(
        create("state.redis", "v1").await.unwrap_err(),
        CreateError::CompiledOut {
            feature: "redis",
            ..
        }
    ));
    assert_eq!(
        refusal("secretstores.kubernetes", "").await,
        "secretstores.kubernetes is not built into this sidecar: it was built without the feature \
         \"kubernetes\""
    );
}

#[tokio::test]
async fn a_type_that_only_upstream_has_says_so() {
    for type_name in ["state.cassandra", "pubsub.kubemq", "bindings.apns"] {
        let error = create(type_name, "v1").await.unwrap_err();
        assert!(matches!(error, CreateError::NotBuiltYet(_)), "{error}");
        assert!(error.to_string().contains(type_name), "{error}");
    }
}

fn versioned(version: &'static [&'static str]) -> Backend {
    let answer = version[0];
    let refuse = move |_, _| async move { Err(InitError::Invalid(format!("this is {answer}"))) };
    Backend::state("many", refuse).of_versions(version)
}

#[tokio::test]
async fn versions_of_a_type_may_be_backends_of_their_own() {
    let registry = Registry::default().with(vec![versioned(&["v1"]), versioned(&["v2"])]);
    let answer = async |version: &str| {
        let created = registry.create("state.many", version, context(), Metadata::default());
        created.await.unwrap_err().to_string()
    };
    assert_eq!(answer("").await, "this is v1");
    assert_eq!(answer("V2").await, "this is v2");
    assert_eq!(
        answer("v3").await,
        "couldn't find state store state.many/v3: it has v1, v2"
    );
    let (served, _) = registry.types();
    let versions: Vec<_> = served.into_iter().map(Backend::versions).collect();
    assert_eq!(versions, [["v1"], ["v2"]]);
}

/// Has `state.late`, and says where it has looked for others.
struct Late(watch::Sender<Arrivals>);

#[async_trait]
impl TypeSource for Late {
    async fn settled(&self, _: Block, _: &str) {}

    fn find(&self, block: Block, name: &str) -> Option<Arc<Backend>> {
        let refuse = |_, _| async { Err(InitError::Invalid("this is late".to_owned())) };
        let served = block == Block::State && ["late", "in-memory"].contains(&name);
        served.then(|| Arc::new(Backend::state(name.to_owned(), refuse)))
    }

    fn missing(&self, block: Block, name: &str) -> Option<String> {
        (block == Block::State).then(|| format!("no {name} was seen"))
    }

    fn arrivals(&self) -> watch::Receiver<Arrivals> {
        self.0.subscribe()
    }
}

#[tokio::test]
async fn types_may_come_at_run_time_and_go_before_those_of_the_build() {
    let source = Arc::new(Late(watch::Sender::default()));
    let registry = Registry::in_memory().with_source(source);
    let answer = async |type_name: &str, version: &str| {
        let created = registry.create(type_name, version, context(), Metadata::default());
        created.await.err().map(|error| error.to_string())
    };
    for (type_name, version) in [
        ("state.late", ""),
        ("State.Late", "V1"),
        ("state.in-memory", "v1"),
    ] {
        let late = Some("this is late".to_owned());
        assert_eq!(answer(type_name, version).await, late, "{type_name}");
    }
    assert_eq!(
        answer("state.later", "v1").await.as_deref(),
        Some("couldn't find state store state.later/v1; no later was seen")
    );
    assert_eq!(
        answer("secretstores.late", "v1").await.as_deref(),
        Some("couldn't find secret store secretstores.late/v1")
    );
}
