use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status};
use trilby_grpc::PeerIdentity;
use trilby_proto::operator::v1::{
    self as proto, ResourceEventType, operator_client::OperatorClient,
};

use super::{Api, Served};
use crate::{
    metrics::Metrics,
    pods::Assignments,
    resource::Kind,
    view::{Published, Views},
};

struct Fixture {
    api: OperatorClient<Served<Api>>,
    components: Views,
    shutdown: CancellationToken,
}

impl Fixture {
    fn new() -> Self {
        let views: HashMap<Kind, Views> = Kind::ALL.map(|kind| (kind, Views::default())).into();
        let (components, shutdown) = (views[&Kind::Component].clone(), CancellationToken::new());
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        let api = Api::new(views, Assignments::default(), metrics, shutdown.clone());
        Self {
            api: OperatorClient::new(Served(api)),
            components,
            shutdown,
        }
    }

    fn publish(&self, name: &str, json: &'static str, scopes: &[&str]) {
        let scopes = scopes.iter().map(|scope| Box::from(*scope));
        let published = Published::new(json.as_bytes(), scopes.collect());
        self.components
            .publish("shop", &Arc::from(name), Some(published));
    }
}

/// A request of the app `cart` in the namespace `shop`.
fn by_cart<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(PeerIdentity {
        spiffe: Some("spiffe://public/ns/shop/cart".parse().unwrap()),
        addr: Some(([127, 0, 0, 1], 1).into()),
    });
    request
}

fn shop() -> String {
    "shop".to_owned()
}

#[tokio::test]
async fn only_components_in_scope_are_listed() {
    let mut fixture = Fixture::new();
    fixture.publish("a", "for all", &[]);
    fixture.publish("b", "for cart", &["cart"]);
    fixture.publish("c", "for others", &["other"]);
    let request = by_cart(proto::ListComponentsRequest { namespace: shop() });
    let reply = fixture.api.list_components(request).await.unwrap();
    assert_eq!(reply.into_inner().components, ["for all", "for cart"]);
}

#[tokio::test]
async fn a_stream_tells_what_changes_and_nothing_that_was_there_before() {
    let mut fixture = Fixture::new();
    fixture.publish("a", "1", &[]);
    let request = by_cart(proto::ComponentUpdateRequest { namespace: shop() });
    let mut events = fixture
        .api
        .component_update(request)
        .await
        .unwrap()
        .into_inner();
    fixture.publish("a", "2", &[]);
    let event = events.next().await.unwrap().unwrap();
    assert_eq!(event.component, "2");
    assert_eq!(event.r#type(), ResourceEventType::Updated);
    fixture.publish("a", "3", &["other"]);
    let event = events.next().await.unwrap().unwrap();
    assert_eq!(
        (event.r#type(), event.component),
        (ResourceEventType::Deleted, "2".into())
    );
}

#[tokio::test]
async fn a_slow_stream_gets_the_latest_only() {
    let mut fixture = Fixture::new();
    let request = by_cart(proto::ComponentUpdateRequest { namespace: shop() });
    let mut events = fixture
        .api
        .component_update(request)
        .await
        .unwrap()
        .into_inner();
    for json in ["1", "2", "3"] {
        fixture.publish("a", json, &[]);
    }
    let event = events.next().await.unwrap().unwrap();
    assert_eq!(
        (event.r#type(), event.component),
        (ResourceEventType::Created, "3".into())
    );
    fixture.shutdown.cancel();
    assert!(events.next().await.unwrap().is_err());
}

#[tokio::test]
async fn at_shutdown_every_stream_ends_with_a_code_that_brings_the_sidecar_back() {
    let mut fixture = Fixture::new();
    let request = by_cart(proto::ComponentUpdateRequest { namespace: shop() });
    let mut served = fixture
        .api
        .component_update(request)
        .await
        .unwrap()
        .into_inner();
    let request = by_cart(proto::ResiliencyUpdateRequest { namespace: shop() });
    let mut silent = fixture
        .api
        .resiliency_update(request)
        .await
        .unwrap()
        .into_inner();
    fixture.shutdown.cancel();
    let ends = [
        served.next().await.unwrap().map(drop),
        silent.next().await.unwrap().map(drop),
    ];
    for end in ends {
        let status = end.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.message(), "operator is shutting down");
    }
    assert!(served.next().await.is_none() && silent.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_which_nothing_changes_stays_open_and_silent() {
    let mut fixture = Fixture::new();
    let request = by_cart(proto::SubscriptionUpdateRequest { namespace: shop() });
    let mut events = fixture
        .api
        .subscription_update(request)
        .await
        .unwrap()
        .into_inner();
    let waited = tokio::time::timeout(Duration::from_secs(3600), events.next()).await;
    assert!(waited.is_err(), "nothing came, and no end");
}

#[tokio::test]
async fn lists_of_which_there_is_nothing_are_empty() {
    let mut api = Fixture::new().api;
    let request = by_cart(proto::ListSubscriptionsRequest { namespace: shop() });
    let reply = api.list_subscriptions_v2(request).await.unwrap();
    assert!(reply.into_inner().subscriptions.is_empty());
    let request = by_cart(proto::ListResiliencyRequest { namespace: shop() });
    let reply = api.list_resiliency(request).await.unwrap();
    assert!(reply.into_inner().resiliencies.is_empty());
    let request = by_cart(proto::ListHttpEndpointsRequest { namespace: shop() });
    let reply = api.list_http_endpoints(request).await.unwrap();
    assert!(reply.into_inner().http_endpoints.is_empty());
    let request = by_cart(proto::ListMcpServersRequest { namespace: shop() });
    let reply = api.list_mcp_servers(request).await.unwrap();
    assert!(reply.into_inner().mcp_servers.is_empty());
    let request = by_cart(proto::ListWorkflowAccessPolicyRequest { namespace: shop() });
    let reply = api.list_workflow_access_policy(request).await.unwrap();
    assert!(reply.into_inner().policies.is_empty());
}

#[tokio::test]
async fn what_is_not_found_is_named() {
    let mut api = Fixture::new().api;
    let missing = |status: Status| (status.code(), status.message().to_owned());
    let request = by_cart(proto::GetConfigurationRequest {
        name: "tracing".into(),
        namespace: shop(),
    });
    assert_eq!(
        missing(api.get_configuration(request).await.unwrap_err()),
        (
            Code::Unknown,
            "error getting configuration shop/tracing: Configuration.dapr.io \"tracing\" not found"
                .into()
        )
    );
    let request = by_cart(proto::GetResiliencyRequest {
        name: "retry".into(),
        namespace: shop(),
    });
    assert_eq!(
        missing(api.get_resiliency(request).await.unwrap_err()),
        (
            Code::Unknown,
            "error getting resiliency: Resiliency.dapr.io \"retry\" not found".into()
        )
    );
}

#[tokio::test]
async fn another_namespace_is_refused_and_the_first_list_of_subscriptions_always_was() {
    let mut api = Fixture::new().api;
    let request = by_cart(proto::ConfigurationUpdateRequest {
        namespace: "bank".into(),
    });
    let status = api
        .configuration_update(request)
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(
        status.message(),
        "failed to authorize configuration update request: rpc error: code = PermissionDenied \
         desc = identity does not match requested namespace exp=bank got=shop"
    );
    let status = api.list_subscriptions(by_cart(())).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let request = Request::new(proto::ListComponentsRequest { namespace: shop() });
    let status = api.list_components(request).await.unwrap_err();
    assert_eq!(status.message(), "failed to determine identity");
}
