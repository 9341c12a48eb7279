//! An operator that speaks real gRPC on a port of its own, and components that do as their metadata says.

pub(crate) mod backend;
pub(crate) mod operator;

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use trilby_components::registry::Registry;
use trilby_grpc::{ChannelConfig, Target};
use trilby_resources::{ComponentInfo, Config, Environment, LoadError, Resources, Source};

use backend::Backends;
use operator::FakeOperator;

/// One sidecar's resources in the namespace `shop`, for the app `cart`.
pub(crate) struct Sidecar {
    pub(crate) resources: Resources,
    _running: tokio::task::JoinHandle<()>,
    _cancel: tokio_util::sync::DropGuard,
}

impl Sidecar {
    pub(crate) async fn start(operator: &FakeOperator, backends: &Backends) -> Self {
        let started = Self::try_start(config(operator, backends.registry())).await;
        started.expect("the first load succeeds")
    }

    pub(crate) async fn try_start(config: Config) -> Result<Self, LoadError> {
        let cancel = CancellationToken::new();
        let (resources, run) = Resources::start(config, cancel.clone()).await?;
        Ok(Self {
            resources,
            _running: tokio::spawn(run),
            _cancel: cancel.drop_guard(),
        })
    }

    pub(crate) fn info(&self, name: &str) -> Option<ComponentInfo> {
        let mut components = self.resources.components().into_iter();
        components.find(|info| info.name == name)
    }

    pub(crate) fn error(&self, name: &str) -> String {
        let info = self.info(name).expect("the component is known");
        info.error.unwrap_or_default()
    }

    /// What the store of that name was created with: see [`backend`].
    pub(crate) async fn tag(&self, name: &str) -> Option<String> {
        let component = self.resources.state_store(name).ok()?;
        backend::tag(&*component.store).await
    }
}

pub(crate) fn config(operator: &FakeOperator, registry: Registry) -> Config {
    let target = Target {
        host: operator.address().ip().to_string(),
        port: operator.address().port(),
    };
    let channel = trilby_grpc::channel(target, None, ChannelConfig::default());
    Config {
        app_id: "cart".into(),
        namespace: Some("shop".into()),
        source: Source::Operator {
            channel: channel.expect("the address is valid"),
            configuration: None,
        },
        registry,
        kubernetes_secrets: false,
        reconcile_interval: Duration::from_secs(60),
        first_load: Duration::from_secs(20),
        environment: Environment::new(|_| None),
        identity: None,
        observer: std::sync::Arc::new(trilby_resources::Silent),
    }
}

/// A `state.fake` of that name and tag, with more properties in JSON.
pub(crate) fn store(name: &str, tag: &str, more: &str) -> String {
    component(name, "state.fake", tag, more)
}

pub(crate) fn component(name: &str, kind: &str, tag: &str, more: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"shop"}},"spec":{{"type":"{kind}","version":"v1",
        "metadata":[{{"name":"tag","value":"{tag}"}}{more}]}}}}"#
    )
}
