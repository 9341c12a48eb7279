//! Metadata over gRPC.

use trilby_proto::runtime::v1::actor_runtime::ActorRuntimeStatus;
use trilby_proto::runtime::v1::{
    ActiveActorsCount, ActorRuntime, AppConnectionHealthProperties, AppConnectionProperties,
    GetMetadataResponse, MetadataHttpEndpoint, MetadataMcpServer, MetadataResiliency,
    MetadataWorkflowAccessPolicy, PubsubSubscription, PubsubSubscriptionRule,
    PubsubSubscriptionRules, PubsubSubscriptionType, RegisteredComponents, SetMetadataRequest,
};

use crate::blocks::Blocks;
use crate::blocks::metadata::{AppConnection, AppHealthCheck, Origin, SubscriptionInfo, written};

pub(super) fn set(blocks: &Blocks, request: SetMetadataRequest) {
    blocks.metadata.note(request.key, request.value);
}

#[allow(deprecated, reason = "the old list of actors is part of the contract")]
pub(super) fn get(blocks: &Blocks) -> GetMetadataResponse {
    let snapshot = blocks.metadata.snapshot();
    let actors = actor_runtime(&snapshot.actors);
    let component = |info: trilby_resources::ComponentInfo| RegisteredComponents {
        name: info.name,
        r#type: info.component_type,
        version: info.version,
        capabilities: info.capabilities.into_iter().map(str::to_owned).collect(),
    };
    GetMetadataResponse {
        id: snapshot.id,
        active_actors_count: actors.active_actors.clone(),
        registered_components: snapshot.components.into_iter().map(component).collect(),
        extended_metadata: snapshot.extended.into_iter().collect(),
        app_connection_properties: Some(app(snapshot.app)),
        runtime_version: snapshot.version.to_owned(),
        enabled_features: snapshot.features,
        actor_runtime: Some(actors),
        subscriptions: snapshot
            .subscriptions
            .into_iter()
            .map(subscription)
            .collect(),
        http_endpoints: named(snapshot.declared.http_endpoints, |name| {
            MetadataHttpEndpoint { name }
        }),
        mcp_servers: named(snapshot.declared.mcp_servers, |name| MetadataMcpServer {
            name,
        }),
        workflow_access_policies: named(snapshot.declared.workflow_access_policies, |name| {
            MetadataWorkflowAccessPolicy { name }
        }),
        resiliencies: named(snapshot.declared.resiliencies, |name| MetadataResiliency {
            name,
        }),
        ..Default::default()
    }
}

fn named<T>(names: Vec<String>, message: impl Fn(String) -> T) -> Vec<T> {
    names.into_iter().map(message).collect()
}

fn subscription(info: SubscriptionInfo) -> PubsubSubscription {
    let rules = info.rules.into_iter();
    let rules = rules.map(|(r#match, path)| PubsubSubscriptionRule { r#match, path });
    let origin = match info.origin {
        Origin::Declarative => PubsubSubscriptionType::Declarative,
        Origin::Programmatic => PubsubSubscriptionType::Programmatic,
        Origin::Streaming => PubsubSubscriptionType::Streaming,
    };
    PubsubSubscription {
        pubsub_name: info.pubsub,
        topic: info.topic,
        metadata: info.metadata.into_iter().collect(),
        rules: Some(PubsubSubscriptionRules {
            rules: rules.collect(),
        }),
        dead_letter_topic: info.dead_letter,
        r#type: origin.into(),
    }
}

fn actor_runtime(status: &trilby_actors::Status) -> ActorRuntime {
    let runtime_status = match status.runtime {
        trilby_actors::RuntimeStatus::Disabled => ActorRuntimeStatus::Disabled,
        trilby_actors::RuntimeStatus::Initializing => ActorRuntimeStatus::Initializing,
        trilby_actors::RuntimeStatus::Running => ActorRuntimeStatus::Running,
    };
    let active = status.active.iter().map(|active| ActiveActorsCount {
        r#type: active.actor_type.clone(),
        count: i32::try_from(active.count).unwrap_or(i32::MAX),
    });
    ActorRuntime {
        runtime_status: runtime_status as i32,
        active_actors: active.collect(),
        host_ready: status.host_ready,
        placement: status.placement().to_owned(),
    }
}

fn app(app: AppConnection) -> AppConnectionProperties {
    AppConnectionProperties {
        port: i32::from(app.port),
        protocol: app.protocol,
        channel_address: app.host,
        max_concurrency: app.max_concurrency,
        health: app.health.map(health),
    }
}

fn health(check: AppHealthCheck) -> AppConnectionHealthProperties {
    AppConnectionHealthProperties {
        health_check_path: check.path,
        health_probe_interval: written(check.interval),
        health_probe_timeout: written(check.timeout),
        health_threshold: check.threshold,
    }
}
