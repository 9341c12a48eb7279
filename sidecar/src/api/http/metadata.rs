//! Metadata over HTTP.

use std::collections::BTreeMap;

use axum::body::Body;
use http::Request;
use serde::Serialize;
use trilby_resources::ComponentInfo;

use super::HttpApi;
use super::respond::{HttpResponse, empty, failed, json};
use super::service::body_of;
use crate::blocks::Blocks;
use crate::blocks::metadata::{AppConnection, Origin, Snapshot, SubscriptionInfo, written};
use crate::error::ApiError;

pub(super) fn get(blocks: &Blocks) -> HttpResponse {
    json(&Document::from(blocks.metadata.snapshot()))
}

pub(super) async fn set(api: &HttpApi, key: String, request: Request<Body>) -> HttpResponse {
    match body_of(api, request.into_body()).await {
        Ok(body) => {
            api.blocks
                .metadata
                .note(key, String::from_utf8_lossy(&body).into_owned());
            empty()
        }
        Err(error) => failed(&ApiError::body_read(error)),
    }
}

/// The document as upstream writes it: fields without content are left out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    id: String,
    runtime_version: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    enabled_features: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actors: Vec<ActiveActors>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<Component>,
    extended: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions: Vec<Subscription>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    http_endpoints: Vec<Named>,
    #[serde(skip_serializing_if = "App::is_empty")]
    app_connection_properties: App,
    actor_runtime: ActorRuntime,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mcp_servers: Vec<Named>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    workflow_access_policies: Vec<Named>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resiliencies: Vec<Named>,
}

#[derive(Debug, Serialize)]
struct Named {
    name: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Subscription {
    #[serde(rename = "pubsubname")]
    pubsub_name: String,
    topic: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<Rule>,
    dead_letter_topic: String,
    #[serde(rename = "type")]
    origin: &'static str,
}

#[derive(Debug, Serialize)]
struct Rule {
    #[serde(rename = "match", skip_serializing_if = "String::is_empty")]
    condition: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    path: String,
}

#[derive(Debug, Clone, Serialize)]
struct ActiveActors {
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    actor_type: String,
    #[serde(skip_serializing_if = "is_zero")]
    count: u32,
}

#[derive(Debug, Serialize)]
struct Component {
    name: String,
    #[serde(rename = "type")]
    component_type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    capabilities: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct App {
    #[serde(skip_serializing_if = "is_zero")]
    port: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    protocol: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    channel_address: String,
    #[serde(skip_serializing_if = "is_zero")]
    max_concurrency: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<AppHealth>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AppHealth {
    #[serde(skip_serializing_if = "String::is_empty")]
    health_check_path: String,
    health_probe_interval: String,
    health_probe_timeout: String,
    health_threshold: i32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ActorRuntime {
    runtime_status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    active_actors: Vec<ActiveActors>,
    host_ready: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    placement: &'static str,
}

impl From<Snapshot> for Document {
    fn from(snapshot: Snapshot) -> Self {
        let active: Vec<ActiveActors> = snapshot
            .actors
            .active
            .iter()
            .map(|active| ActiveActors {
                actor_type: active.actor_type.clone(),
                count: active.count,
            })
            .collect();
        Self {
            id: snapshot.id,
            runtime_version: snapshot.version,
            enabled_features: snapshot.features,
            actors: active.clone(),
            components: snapshot
                .components
                .into_iter()
                .map(Component::from)
                .collect(),
            extended: snapshot.extended,
            subscriptions: snapshot
                .subscriptions
                .into_iter()
                .map(Subscription::from)
                .collect(),
            http_endpoints: named(snapshot.declared.http_endpoints),
            mcp_servers: named(snapshot.declared.mcp_servers),
            workflow_access_policies: named(snapshot.declared.workflow_access_policies),
            resiliencies: named(snapshot.declared.resiliencies),
            app_connection_properties: App::from(snapshot.app),
            actor_runtime: ActorRuntime {
                runtime_status: snapshot.actors.runtime.as_str(),
                active_actors: active,
                host_ready: snapshot.actors.host_ready,
                placement: snapshot.actors.placement(),
            },
        }
    }
}

fn named(names: Vec<String>) -> Vec<Named> {
    names.into_iter().map(|name| Named { name }).collect()
}

impl From<SubscriptionInfo> for Subscription {
    fn from(info: SubscriptionInfo) -> Self {
        let rules = info.rules.into_iter();
        Self {
            pubsub_name: info.pubsub,
            topic: info.topic,
            metadata: info.metadata,
            rules: rules
                .map(|(condition, path)| Rule { condition, path })
                .collect(),
            dead_letter_topic: info.dead_letter,
            origin: match info.origin {
                Origin::Declarative => "DECLARATIVE",
                Origin::Programmatic => "PROGRAMMATIC",
                Origin::Streaming => "STREAMING",
            },
        }
    }
}

impl From<ComponentInfo> for Component {
    fn from(info: ComponentInfo) -> Self {
        Self {
            name: info.name,
            component_type: info.component_type,
            version: info.version,
            capabilities: info.capabilities.into_iter().map(str::to_owned).collect(),
        }
    }
}

impl App {
    fn is_empty(&self) -> bool {
        self.port == 0 && self.channel_address.is_empty()
    }
}

impl From<AppConnection> for App {
    fn from(app: AppConnection) -> Self {
        let health = app.health.map(|health| AppHealth {
            health_check_path: health.path,
            health_probe_interval: written(health.interval),
            health_probe_timeout: written(health.timeout),
            health_threshold: health.threshold,
        });
        Self {
            port: u32::from(app.port),
            protocol: app.protocol,
            channel_address: app.host,
            max_concurrency: u32::try_from(app.max_concurrency).unwrap_or(0),
            health,
        }
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
