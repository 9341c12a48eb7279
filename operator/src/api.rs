//! The gRPC API that sidecars use.
//!
//! Everything comes from the views: a list is a view, a stream tells its changes. Both show a sidecar only what is for
//! its app.

mod authorization;
mod reports;
mod stream;

use std::{collections::HashMap, pin::Pin};

use bytes::Bytes;
use futures_util::Stream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use trilby_proto::operator::v1::{self as proto, operator_server};

use self::authorization::{authorize, authorize_configuration};
pub(crate) use self::reports::ReportsApi;
use crate::{
    metrics::Metrics,
    pods::Assignments,
    resource::Kind,
    view::{Change, Views},
};

#[cfg(test)]
mod tests;

/// The service.
pub(crate) struct Api {
    views: HashMap<Kind, Views>,
    assignments: Assignments,
    metrics: Metrics,
    shutdown: CancellationToken,
}

type Reply<T> = Result<Response<T>, Status>;
type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Api {
    pub(crate) fn new(
        views: HashMap<Kind, Views>,
        assignments: Assignments,
        metrics: Metrics,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            views,
            assignments,
            metrics,
            shutdown,
        }
    }

    fn views(&self, kind: Kind) -> &Views {
        &self.views[&kind]
    }

    /// What the caller may see of a kind in its namespace.
    fn list<M>(
        &self,
        kind: Kind,
        request: &Request<M>,
        namespace: &str,
    ) -> Result<Vec<Bytes>, Status> {
        let id = authorize(request.extensions(), namespace)?;
        let view = self.views(kind).get(id.namespace());
        let seen = view
            .values()
            .filter(|resource| resource.in_scope_of(id.app_id()));
        Ok(seen.map(|resource| resource.json.clone()).collect())
    }

    /// What changes of it from now on.
    fn changes<M>(
        &self,
        kind: Kind,
        request: &Request<M>,
        namespace: &str,
    ) -> Result<impl Stream<Item = Result<(Change, Bytes), Status>> + Send + use<M>, Status> {
        let id = authorize(request.extensions(), namespace)?;
        let app_id = id.app_id().to_owned();
        Ok(stream::follow(
            self.views(kind).subscribe(id.namespace()),
            move |_, resource| resource.in_scope_of(&app_id),
            self.shutdown.clone(),
            self.metrics.stream(kind.name()),
        ))
    }
}

#[tonic::async_trait]
impl operator_server::Operator for Api {
    type ComponentUpdateStream = Events<proto::ComponentUpdateEvent>;
    type ConfigurationUpdateStream = Events<proto::ConfigurationUpdateEvent>;
    type SubscriptionUpdateStream = Events<proto::SubscriptionUpdateEvent>;
    type HTTPEndpointUpdateStream = Events<proto::HttpEndpointUpdateEvent>;
    type MCPServerUpdateStream = Events<proto::McpServerUpdateEvent>;
    type ResiliencyUpdateStream = Events<proto::ResiliencyUpdateEvent>;
    type WorkflowAccessPolicyUpdateStream = Events<proto::WorkflowAccessPolicyUpdateEvent>;

    async fn list_components(
        &self,
        request: Request<proto::ListComponentsRequest>,
    ) -> Reply<proto::ListComponentResponse> {
        let components = self.list(Kind::Component, &request, &request.get_ref().namespace)?;
        Ok(Response::new(proto::ListComponentResponse { components }))
    }

    async fn component_update(
        &self,
        request: Request<proto::ComponentUpdateRequest>,
    ) -> Reply<Self::ComponentUpdateStream> {
        let events = self.changes(Kind::Component, &request, &request.get_ref().namespace)?;
        Ok(Response::new(stream::encode(
            events,
            |component, change| proto::ComponentUpdateEvent {
                component,
                r#type: change.into(),
            },
        )))
    }

    async fn get_configuration(
        &self,
        request: Request<proto::GetConfigurationRequest>,
    ) -> Reply<proto::GetConfigurationResponse> {
        let proto::GetConfigurationRequest { name, namespace } = request.get_ref();
        authorize(request.extensions(), namespace)?;
        let view = self.views(Kind::Configuration).get(namespace);
        let Some(configuration) = view.get(name.as_str()) else {
            return Err(Status::unknown(format!(
                "error getting configuration {namespace}/{name}: Configuration.dapr.io \"{name}\" not found"
            )));
        };
        Ok(Response::new(proto::GetConfigurationResponse {
            configuration: configuration.json.clone(),
        }))
    }

    async fn configuration_update(
        &self,
        request: Request<proto::ConfigurationUpdateRequest>,
    ) -> Reply<Self::ConfigurationUpdateStream> {
        let id = authorize_configuration(request.extensions(), &request.get_ref().namespace)?;
        let view = self.views(Kind::Configuration).subscribe(id.namespace());
        let assignments = self.assignments.clone();
        let events = stream::follow(
            view,
            // Asked at each change: pods of the app may have come to name another since.
            move |name, _| assignments.of(id.namespace(), id.app_id()).contains(name),
            self.shutdown.clone(),
            self.metrics.stream("Configuration"),
        );
        Ok(Response::new(stream::encode(
            events,
            |configuration, change| proto::ConfigurationUpdateEvent {
                configuration,
                r#type: change.into(),
            },
        )))
    }

    /// Upstream asks the second version for the empty namespace, so this never was allowed.
    async fn list_subscriptions(
        &self,
        request: Request<()>,
    ) -> Reply<proto::ListSubscriptionsResponse> {
        authorize(request.extensions(), "")?;
        Ok(Response::new(proto::ListSubscriptionsResponse::default()))
    }

    async fn list_subscriptions_v2(
        &self,
        request: Request<proto::ListSubscriptionsRequest>,
    ) -> Reply<proto::ListSubscriptionsResponse> {
        let subscriptions =
            self.list(Kind::Subscription, &request, &request.get_ref().namespace)?;
        Ok(Response::new(proto::ListSubscriptionsResponse {
            subscriptions,
        }))
    }

    async fn subscription_update(
        &self,
        request: Request<proto::SubscriptionUpdateRequest>,
    ) -> Reply<Self::SubscriptionUpdateStream> {
        let events = self.changes(Kind::Subscription, &request, &request.get_ref().namespace)?;
        Ok(Response::new(stream::encode(
            events,
            |subscription, change| proto::SubscriptionUpdateEvent {
                subscription,
                r#type: change.into(),
            },
        )))
    }

    async fn get_resiliency(
        &self,
        request: Request<proto::GetResiliencyRequest>,
    ) -> Reply<proto::GetResiliencyResponse> {
        let proto::GetResiliencyRequest { name, namespace } = request.get_ref();
        authorize(request.extensions(), namespace)?;
        let view = self.views(Kind::Resiliency).get(namespace);
        let Some(found) = view.get(name.as_str()) else {
            return Err(Status::unknown(format!(
                "error getting resiliency: Resiliency.dapr.io \"{name}\" not found"
            )));
        };
        Ok(Response::new(proto::GetResiliencyResponse {
            resiliency: found.json.clone(),
        }))
    }

    async fn list_resiliency(
        &self,
        request: Request<proto::ListResiliencyRequest>,
    ) -> Reply<proto::ListResiliencyResponse> {
        let resiliencies = self.list(Kind::Resiliency, &request, &request.get_ref().namespace)?;
        Ok(Response::new(proto::ListResiliencyResponse {
            resiliencies,
        }))
    }

    async fn resiliency_update(
        &self,
        request: Request<proto::ResiliencyUpdateRequest>,
    ) -> Reply<Self::ResiliencyUpdateStream> {
        let events = self.changes(Kind::Resiliency, &request, &request.get_ref().namespace)?;
        Ok(Response::new(stream::encode(
            events,
            |resiliency, change| proto::ResiliencyUpdateEvent {
                resiliency,
                r#type: change.into(),
            },
        )))
    }

    async fn list_http_endpoints(
        &self,
        request: Request<proto::ListHttpEndpointsRequest>,
    ) -> Reply<proto::ListHttpEndpointsResponse> {
        let http_endpoints =
            self.list(Kind::HttpEndpoint, &request, &request.get_ref().namespace)?;
        Ok(Response::new(proto::ListHttpEndpointsResponse {
            http_endpoints,
        }))
    }

    async fn http_endpoint_update(
        &self,
        request: Request<proto::HttpEndpointUpdateRequest>,
    ) -> Reply<Self::HTTPEndpointUpdateStream> {
        let events = self.changes(Kind::HttpEndpoint, &request, &request.get_ref().namespace)?;
        Ok(Response::new(stream::encode(
            events,
            |http_endpoints, change| proto::HttpEndpointUpdateEvent {
                http_endpoints,
                r#type: change.into(),
            },
        )))
    }

    async fn list_mcp_servers(
        &self,
        request: Request<proto::ListMcpServersRequest>,
    ) -> Reply<proto::ListMcpServersResponse> {
        let mcp_servers = self.list(Kind::McpServer, &request, &request.get_ref().namespace)?;
        Ok(Response::new(proto::ListMcpServersResponse { mcp_servers }))
    }

    async fn mcp_server_update(
        &self,
        request: Request<proto::McpServerUpdateRequest>,
    ) -> Reply<Self::MCPServerUpdateStream> {
        let events = self.changes(Kind::McpServer, &request, &request.get_ref().namespace)?;
        Ok(Response::new(stream::encode(
            events,
            |mcp_server, change| proto::McpServerUpdateEvent {
                mcp_server,
                r#type: change.into(),
            },
        )))
    }

    async fn list_workflow_access_policy(
        &self,
        request: Request<proto::ListWorkflowAccessPolicyRequest>,
    ) -> Reply<proto::ListWorkflowAccessPolicyResponse> {
        let policies = self.list(
            Kind::WorkflowAccessPolicy,
            &request,
            &request.get_ref().namespace,
        )?;
        Ok(Response::new(proto::ListWorkflowAccessPolicyResponse {
            policies,
        }))
    }

    async fn workflow_access_policy_update(
        &self,
        request: Request<proto::WorkflowAccessPolicyUpdateRequest>,
    ) -> Reply<Self::WorkflowAccessPolicyUpdateStream> {
        let events = self.changes(
            Kind::WorkflowAccessPolicy,
            &request,
            &request.get_ref().namespace,
        )?;
        Ok(Response::new(stream::encode(events, |policy, change| {
            proto::WorkflowAccessPolicyUpdateEvent {
                policy,
                r#type: change.into(),
            }
        })))
    }
}
