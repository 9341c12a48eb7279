//! The gRPC API that sidecars use.
//!
//! Components and Configurations come from the views. Of the other kinds nothing is served yet: lists are empty and
//! streams stay silent, which is what a sidecar meets on a cluster without those custom resources.

mod authorization;
mod stream;

use std::{collections::HashMap, pin::Pin};

use futures_util::Stream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use trilby_proto::operator::v1::{self as proto, operator_server};

use self::authorization::{authorize, authorize_configuration};
use crate::{metrics::Metrics, pods::Assignments, resource::Kind, view::Views};

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

    /// A stream of a kind that is not served.
    fn silent<M, T: Send + 'static>(
        &self,
        request: &Request<M>,
        namespace: &str,
        kind: &str,
    ) -> Reply<Events<T>> {
        authorize(request.extensions(), namespace)?;
        Ok(Response::new(stream::silent(
            self.shutdown.clone(),
            self.metrics.stream(kind),
        )))
    }
}

/// The list of a kind that is not served.
fn nothing<T: Default>() -> Reply<T> {
    Ok(Response::new(T::default()))
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
        let id = authorize(request.extensions(), &request.get_ref().namespace)?;
        let view = self.views(Kind::Component).get(id.namespace());
        let components = view
            .values()
            .filter(|component| component.in_scope_of(id.app_id()))
            .map(|component| component.json.clone())
            .collect();
        Ok(Response::new(proto::ListComponentResponse { components }))
    }

    async fn component_update(
        &self,
        request: Request<proto::ComponentUpdateRequest>,
    ) -> Reply<Self::ComponentUpdateStream> {
        let id = authorize(request.extensions(), &request.get_ref().namespace)?;
        let (view, app_id) = (self.views(Kind::Component), id.app_id().to_owned());
        let events = stream::follow(
            view.subscribe(id.namespace()),
            move |_, component| component.in_scope_of(&app_id),
            self.shutdown.clone(),
            self.metrics.stream("Component"),
        );
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
        nothing()
    }

    async fn list_subscriptions_v2(
        &self,
        request: Request<proto::ListSubscriptionsRequest>,
    ) -> Reply<proto::ListSubscriptionsResponse> {
        authorize(request.extensions(), &request.get_ref().namespace)?;
        nothing()
    }

    async fn subscription_update(
        &self,
        request: Request<proto::SubscriptionUpdateRequest>,
    ) -> Reply<Self::SubscriptionUpdateStream> {
        self.silent(&request, &request.get_ref().namespace, "Subscription")
    }

    async fn get_resiliency(
        &self,
        request: Request<proto::GetResiliencyRequest>,
    ) -> Reply<proto::GetResiliencyResponse> {
        let proto::GetResiliencyRequest { name, namespace } = request.get_ref();
        authorize(request.extensions(), namespace)?;
        Err(Status::unknown(format!(
            "error getting resiliency: Resiliency.dapr.io \"{name}\" not found"
        )))
    }

    async fn list_resiliency(
        &self,
        request: Request<proto::ListResiliencyRequest>,
    ) -> Reply<proto::ListResiliencyResponse> {
        authorize(request.extensions(), &request.get_ref().namespace)?;
        nothing()
    }

    async fn resiliency_update(
        &self,
        request: Request<proto::ResiliencyUpdateRequest>,
    ) -> Reply<Self::ResiliencyUpdateStream> {
        self.silent(&request, &request.get_ref().namespace, "Resiliency")
    }

    async fn list_http_endpoints(
        &self,
        request: Request<proto::ListHttpEndpointsRequest>,
    ) -> Reply<proto::ListHttpEndpointsResponse> {
        authorize(request.extensions(), &request.get_ref().namespace)?;
        nothing()
    }

    async fn http_endpoint_update(
        &self,
        request: Request<proto::HttpEndpointUpdateRequest>,
    ) -> Reply<Self::HTTPEndpointUpdateStream> {
        self.silent(&request, &request.get_ref().namespace, "HTTPEndpoint")
    }

    async fn list_mcp_servers(
        &self,
        request: Request<proto::ListMcpServersRequest>,
    ) -> Reply<proto::ListMcpServersResponse> {
        authorize(request.extensions(), &request.get_ref().namespace)?;
        nothing()
    }

    async fn mcp_server_update(
        &self,
        request: Request<proto::McpServerUpdateRequest>,
    ) -> Reply<Self::MCPServerUpdateStream> {
        self.silent(&request, &request.get_ref().namespace, "MCPServer")
    }

    async fn list_workflow_access_policy(
        &self,
        request: Request<proto::ListWorkflowAccessPolicyRequest>,
    ) -> Reply<proto::ListWorkflowAccessPolicyResponse> {
        authorize(request.extensions(), &request.get_ref().namespace)?;
        nothing()
    }

    async fn workflow_access_policy_update(
        &self,
        request: Request<proto::WorkflowAccessPolicyUpdateRequest>,
    ) -> Reply<Self::WorkflowAccessPolicyUpdateStream> {
        let namespace = &request.get_ref().namespace;
        self.silent(&request, namespace, "WorkflowAccessPolicy")
    }
}
