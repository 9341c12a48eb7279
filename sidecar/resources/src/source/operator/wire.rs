//! What the operator's API calls each kind.

use async_trait::async_trait;
use bytes::Bytes;
use tonic::{Response, Status, Streaming};
use trilby_grpc::Channel;
use trilby_proto::operator::v1::{self as proto, ResourceEventType, operator_client};

use super::Operator;
use crate::kind::Kind;

type Client = operator_client::OperatorClient<Channel>;

/// One kind in the operator's API.
#[async_trait]
pub(super) trait Wire: Send + Sync + 'static {
    /// One message of its stream.
    type Change: Send + 'static;
    const KIND: Kind;

    async fn list(operator: &Operator) -> Result<Vec<Bytes>, Status>;

    async fn open(
        client: &mut Client,
        namespace: String,
    ) -> Result<Response<Streaming<Self::Change>>, Status>;

    /// The resource of a message, JSON, and what happened to it.
    fn told(change: Self::Change) -> (Bytes, ResourceEventType);
}

/// In the form that `async_trait` gives a method: it does not see through macros.
macro_rules! wire {
    ($name:ident: $kind:ident,
     $method:literal $list:ident($list_request:ident) -> $items:ident,
     $open:ident($open_request:ident) -> $event:ident.$item:ident) => {
        pub(super) struct $name;

        #[async_trait]
        impl Wire for $name {
            type Change = proto::$event;
            const KIND: Kind = Kind::$kind;

            async fn list(operator: &Operator) -> Result<Vec<Bytes>, Status> {
                const METHOD: &str = concat!("/dapr.proto.operator.v1.Operator/", $method);
                let mut client = operator.client.clone();
                let request = proto::$list_request {
                    namespace: operator.namespace.clone(),
                };
                let answer = operator.ask(METHOD, request, |request| client.$list(request));
                Ok(answer.await?.$items)
            }

            async fn open(
                client: &mut Client,
                namespace: String,
            ) -> Result<Response<Streaming<Self::Change>>, Status> {
                client.$open(proto::$open_request { namespace }).await
            }

            fn told(change: Self::Change) -> (Bytes, ResourceEventType) {
                let happened = change.r#type();
                (change.$item, happened)
            }
        }
    };
}

wire!(Components: Component,
    "ListComponents" list_components(ListComponentsRequest) -> components,
    component_update(ComponentUpdateRequest) -> ComponentUpdateEvent.component);
wire!(Resiliencies: Resiliency,
    "ListResiliency" list_resiliency(ListResiliencyRequest) -> resiliencies,
    resiliency_update(ResiliencyUpdateRequest) -> ResiliencyUpdateEvent.resiliency);
wire!(HttpEndpoints: HttpEndpoint,
    "ListHTTPEndpoints" list_http_endpoints(ListHttpEndpointsRequest) -> http_endpoints,
    http_endpoint_update(HttpEndpointUpdateRequest) -> HttpEndpointUpdateEvent.http_endpoints);
wire!(Subscriptions: Subscription,
    "ListSubscriptionsV2" list_subscriptions_v2(ListSubscriptionsRequest) -> subscriptions,
    subscription_update(SubscriptionUpdateRequest) -> SubscriptionUpdateEvent.subscription);
wire!(McpServers: McpServer,
    "ListMCPServers" list_mcp_servers(ListMcpServersRequest) -> mcp_servers,
    mcp_server_update(McpServerUpdateRequest) -> McpServerUpdateEvent.mcp_server);
wire!(WorkflowAccessPolicies: WorkflowAccessPolicy,
    "ListWorkflowAccessPolicy" list_workflow_access_policy(ListWorkflowAccessPolicyRequest) -> policies,
    workflow_access_policy_update(WorkflowAccessPolicyUpdateRequest)
        -> WorkflowAccessPolicyUpdateEvent.policy);
