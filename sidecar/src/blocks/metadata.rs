//! What the sidecar says about itself and its application.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use trilby_crds::SubscriptionSpec;
use trilby_go_syntax::GoDuration;
use trilby_resources::{ComponentInfo, Followed, Resources};

use super::actors::ActorBlock;
use super::subscriptions::{Shown, Source, Subscriptions};
use crate::resolver::Names;

/// The keys under which an application may keep notes, at most.
const MOST_NOTES: usize = 1024;

/// Runs unless a Configuration turns them off.
const DEFAULT_FEATURES: [&str; 1] = ["HotReload"];

/// How the application is reached, as the metadata API shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppConnection {
    /// Its port; 0 without an application.
    pub port: u16,
    /// What it speaks.
    pub protocol: String,
    /// Its host.
    pub host: String,
    /// Concurrent calls; 0 for no limit.
    pub max_concurrency: i32,
    /// How its health is asked, if it is.
    pub health: Option<AppHealthCheck>,
}

/// How an application's health is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppHealthCheck {
    /// The path; empty for gRPC.
    pub path: String,
    /// Time between two checks.
    pub interval: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// Failures that make it unhealthy.
    pub threshold: i32,
}

/// Everything the metadata API shows, at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// The application's id.
    pub id: String,
    /// The version in Dapr's eyes.
    pub version: &'static str,
    /// Features that are on.
    pub features: Vec<String>,
    /// The components that serve.
    pub components: Vec<ComponentInfo>,
    /// Names of the resources of other kinds.
    pub declared: Declared,
    /// Subscriptions: of resources, of the application, of streams.
    pub subscriptions: Vec<SubscriptionInfo>,
    /// Notes of the application, and what has no field of its own.
    pub extended: BTreeMap<String, String>,
    /// How the application is reached.
    pub app: AppConnection,
    /// The actor runtime.
    pub actors: trilby_actors::Status,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionInfo {
    /// How it came to be.
    pub origin: Origin,
    /// The component.
    pub pubsub: String,
    /// The topic.
    pub topic: String,
    /// For the broker.
    pub metadata: BTreeMap<String, String>,
    /// Conditions and paths in the order in which they are tried; the default's condition is empty.
    pub rules: Vec<(String, String)>,
    /// The topic of what the application does not take; empty for none.
    pub dead_letter: String,
}

/// How a subscription came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A resource declares it.
    Declarative,
    /// The application says it.
    Programmatic,
    /// A client of the gRPC API opened it.
    Streaming,
}

/// Names of resources, kind by kind, each in order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Of HTTPEndpoints.
    pub http_endpoints: Vec<String>,
    /// Of MCPServers.
    pub mcp_servers: Vec<String>,
    /// Of WorkflowAccessPolicies.
    pub workflow_access_policies: Vec<String>,
    /// Of Resiliencies.
    pub resiliencies: Vec<String>,
}

/// The metadata block. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metadata {
    id: Arc<str>,
    app: Arc<AppConnection>,
    notes: Arc<RwLock<BTreeMap<String, String>>>,
    resources: Resources,
    actors: ActorBlock,
    names: Names,
    subscriptions: Subscriptions,
}

impl Metadata {
    /// Describes one sidecar.
    pub fn new(
        id: &str,
        app: AppConnection,
        resources: Resources,
        (actors, names, subscriptions): (ActorBlock, Names, Subscriptions),
    ) -> Self {
        Self {
            id: id.into(),
            app: Arc::new(app),
            notes: Arc::default(),
            resources,
            actors,
            names,
            subscriptions,
        }
    }

    /// What there is to say now.
    pub fn snapshot(&self) -> Snapshot {
        let mut components = self.resources.components();
        let mut extended = self.notes.read().clone();
        for component in &components {
            if let Some(error) = &component.error {
                extended.insert(format!("component.{}.error", component.name), error.clone());
            }
        }
        if let Some(error) = self.names.error() {
            extended.insert("nameResolution.error".to_owned(), error);
        }
        components.retain(|component| component.serving);
        for problem in self.resources.problems() {
            let kind = problem.kind.to_lowercase();
            extended.insert(format!("{kind}.{}.error", problem.name), problem.reason);
        }
        extended.insert(
            "daprRuntimeVersion".to_owned(),
            trilby_bootstrap::version::VERSION.to_owned(),
        );
        extended.insert(
            "product".to_owned(),
            trilby_bootstrap::version::PRODUCT.to_owned(),
        );
        Snapshot {
            id: self.id.to_string(),
            version: trilby_bootstrap::version::VERSION,
            features: self.features(),
            components,
            declared: self.declared(),
            subscriptions: self.subscriptions(),
            extended,
            app: (*self.app).clone(),
            actors: self.actors.status(),
        }
    }

    fn subscriptions(&self) -> Vec<SubscriptionInfo> {
        let declared = self.resources.subscriptions();
        let mut all: Vec<SubscriptionInfo> = declared
            .borrow()
            .iter()
            .map(|resource| SubscriptionInfo::declared(&resource.spec))
            .collect();
        all.sort_by(|one, other| one.topic.cmp(&other.topic));
        let others = self.subscriptions.shown();
        all.extend(others.iter().map(SubscriptionInfo::from));
        all
    }

    fn declared(&self) -> Declared {
        fn names<S>(followed: &Followed<S>) -> Vec<String> {
            followed
                .borrow()
                .iter()
                .map(|one| one.name.clone())
                .collect()
        }
        Declared {
            http_endpoints: names(&self.resources.http_endpoints()),
            mcp_servers: names(&self.resources.mcp_servers()),
            workflow_access_policies: names(&self.resources.workflow_access_policies()),
            resiliencies: names(&self.resources.resiliencies()),
        }
    }

    /// Keeps a note of the application until the sidecar ends; an empty key keeps none. Beyond a generous
    /// number of keys, new ones are dropped with a warning.
    pub fn note(&self, key: String, value: String) {
        if key.is_empty() {
            return;
        }
        let mut notes = self.notes.write();
        if notes.len() >= MOST_NOTES && !notes.contains_key(&key) {
            tracing::warn!(
                key,
                most = MOST_NOTES,
                "too many metadata keys, this one is not kept"
            );
            return;
        }
        notes.insert(key, value);
    }

    fn features(&self) -> Vec<String> {
        let configuration = Arc::clone(&self.resources.configuration().borrow());
        let mut features: BTreeMap<&str, bool> =
            DEFAULT_FEATURES.iter().map(|name| (*name, true)).collect();
        for feature in &configuration.features {
            features.insert(&feature.name, feature.enabled.unwrap_or(false));
        }
        features
            .into_iter()
            .filter(|(_, on)| *on)
            .map(|(name, _)| name.to_owned())
            .collect()
    }
}

impl SubscriptionInfo {
    fn declared(spec: &SubscriptionSpec) -> Self {
        let rules = spec.routes.rules.iter();
        let rules = rules.map(|rule| (rule.condition.clone(), rule.path.clone()));
        let default = spec.routes.default.iter();
        let default = default.map(|path| (String::new(), path.clone()));
        Self {
            origin: Origin::Declarative,
            pubsub: spec.pubsub_name.clone(),
            topic: spec.topic.clone(),
            metadata: spec.metadata.clone(),
            rules: rules.chain(default).collect(),
            dead_letter: spec.dead_letter_topic.clone().unwrap_or_default(),
        }
    }
}

impl From<&Shown> for SubscriptionInfo {
    fn from(shown: &Shown) -> Self {
        let subscription = &shown.subscription;
        let rules = subscription.routes.rules();
        Self {
            origin: match shown.source {
                Source::Programmatic => Origin::Programmatic,
                Source::Streaming => Origin::Streaming,
            },
            pubsub: subscription.pubsub.clone(),
            topic: subscription.topic.clone(),
            metadata: subscription.metadata.clone(),
            rules: rules
                .map(|(condition, path)| (condition.to_owned(), path.to_owned()))
                .collect(),
            dead_letter: subscription.dead_letter.clone().unwrap_or_default(),
        }
    }
}

/// A duration as the metadata API writes it.
pub fn written(duration: Duration) -> String {
    GoDuration(duration).to_string()
}
