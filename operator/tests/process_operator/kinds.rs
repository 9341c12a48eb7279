//! The kinds beside Components and Configurations, on a real API server.

use serde_json::{Value, json};
use trilby_proto::operator::v1::{self as proto, ResourceEventType as Event};
use trilby_testkit::assert_eventually;

use crate::fixture::{Fixture, Sidecar, decode, message, name};

impl Fixture {
    /// An object of the app's namespace.
    fn object(&self, version: &str, kind: &str, spec: &Value) -> Value {
        json!({
            "apiVersion": format!("dapr.io/{version}"), "kind": kind,
            "metadata": {"name": "one", "namespace": self.shop},
            "spec": spec,
        })
    }
}

impl Sidecar {
    async fn endpoints(&self) -> Vec<Value> {
        let request = proto::ListHttpEndpointsRequest {
            namespace: self.namespace.clone(),
        };
        let reply = self.client.clone().list_http_endpoints(request).await;
        let reply = reply.expect("lists endpoints").into_inner();
        reply.http_endpoints.iter().map(decode).collect()
    }
}

#[tokio::test]
async fn an_endpoints_secrets_reach_the_apps_in_its_scopes_only() {
    let fixture = Fixture::start().await;
    let (cart, other) = (fixture.sidecar("cart"), fixture.sidecar("other"));
    let request = proto::HttpEndpointUpdateRequest {
        namespace: fixture.shop.clone(),
    };
    let stream = cart.client.clone().http_endpoint_update(request).await;
    let mut events = stream.expect("opens the stream").into_inner();
    fixture.apply(&fixture.secret("tls", "key")).await;
    let reference = json!({"name": "tls", "key": "password"});
    let mut endpoint = fixture.object(
        "v1alpha1",
        "HTTPEndpoint",
        &json!({
            "baseUrl": "https://example.com",
            "headers": [{"name": "authorization", "secretKeyRef": reference}],
            "clientTLS": {"privateKey": {"secretKeyRef": reference}},
        }),
    );
    endpoint["scopes"] = json!(["cart"]);
    fixture.apply(&endpoint).await;
    let event = message(&mut events).await;
    let created = decode(&event.http_endpoints);
    assert_eq!(
        (event.r#type(), name(&created)),
        (Event::Created, "one".into())
    );
    assert_eq!(created["spec"]["headers"][0]["value"], "a2V5");
    assert_eq!(created["spec"]["clientTLS"]["privateKey"]["value"], "a2V5");
    assert_eq!(created["spec"]["clientTLS"]["renegotiation"], "Never");
    assert_eq!(cart.endpoints().await, [created]);
    assert!(other.endpoints().await.is_empty());
    fixture.delete(&endpoint).await;
    assert_eq!(message(&mut events).await.r#type(), Event::Deleted);
}

#[tokio::test]
async fn resiliencies_are_listed_got_and_streamed() {
    let fixture = Fixture::start().await;
    let mut client = fixture.sidecar("cart").client;
    let namespace = fixture.shop.clone();
    let request = proto::ResiliencyUpdateRequest {
        namespace: namespace.clone(),
    };
    let stream = client.resiliency_update(request).await;
    let mut events = stream.expect("opens the stream").into_inner();
    let spec = json!({"policies": {"timeouts": {"t": "1s"}}, "targets": {}});
    let mut resiliency = fixture.object("v1alpha1", "Resiliency", &spec);
    fixture.apply(&resiliency).await;
    let event = message(&mut events).await;
    assert_eq!(event.r#type(), Event::Created);
    let request = proto::GetResiliencyRequest {
        name: "one".into(),
        namespace: namespace.clone(),
    };
    let got = client
        .get_resiliency(request)
        .await
        .expect("it is there")
        .into_inner();
    assert_eq!(got.resiliency, event.resiliency);
    resiliency["spec"]["policies"]["timeouts"]["t"] = json!("2s");
    fixture.apply(&resiliency).await;
    let event = message(&mut events).await;
    assert_eq!(event.r#type(), Event::Updated);
    let listed = client
        .list_resiliency(proto::ListResiliencyRequest { namespace })
        .await;
    let listed = listed.expect("lists resiliencies").into_inner();
    assert_eq!(listed.resiliencies, [event.resiliency]);
    assert_eq!(
        decode(&listed.resiliencies[0])["spec"]["policies"]["timeouts"]["t"],
        "2s"
    );
}

#[tokio::test]
async fn subscriptions_servers_and_policies_are_listed() {
    let fixture = Fixture::start().await;
    let mut client = fixture.sidecar("cart").client;
    let namespace = || fixture.shop.clone();
    let subscription = json!({"pubsubname": "bus", "topic": "t", "routes": {"default": "/t"}});
    let server = json!({"endpoint": {"sse": {"url": "https://mcp"}}});
    let policy = json!({"rules": [{"callers": [{"appID": "x"}], "activities": [{"name": "*"}]}]});
    fixture
        .apply(&fixture.object("v2alpha1", "Subscription", &subscription))
        .await;
    fixture
        .apply(&fixture.object("v1alpha1", "MCPServer", &server))
        .await;
    fixture
        .apply(&fixture.object("v1alpha1", "WorkflowAccessPolicy", &policy))
        .await;
    assert_eventually!({
        let request = proto::ListSubscriptionsRequest {
            namespace: namespace(),
        };
        let reply = client
            .list_subscriptions_v2(request)
            .await
            .unwrap()
            .into_inner();
        let all: Vec<Value> = reply.subscriptions.iter().map(decode).collect();
        all.len() == 1
            && all[0]["apiVersion"] == "dapr.io/v2alpha1"
            && all[0]["spec"]["routes"]["default"] == "/t"
    });
    assert_eventually!({
        let request = proto::ListMcpServersRequest {
            namespace: namespace(),
        };
        let reply = client.list_mcp_servers(request).await.unwrap().into_inner();
        reply.mcp_servers.len() == 1
    });
    assert_eventually!({
        let request = proto::ListWorkflowAccessPolicyRequest {
            namespace: namespace(),
        };
        let reply = client
            .list_workflow_access_policy(request)
            .await
            .unwrap()
            .into_inner();
        reply.policies.len() == 1
    });
}

#[tokio::test]
async fn the_api_server_refuses_what_the_definitions_rule_out() {
    let fixture = Fixture::start().await;
    let both = json!({"endpoint": {"sse": {"url": "https://a"}, "stdio": {"command": "b"}}});
    let both = fixture.object("v1alpha1", "MCPServer", &both).to_string();
    let refused = fixture.kube.try_apply(&both).await;
    let text = format!("{:#}", refused.expect_err("two transports"));
    assert!(
        text.contains("exactly one of streamableHTTP, sse, or stdio must be set"),
        "{text}"
    );
    let empty = json!({"rules": [{"callers": [{"appID": "x"}]}]});
    let empty = fixture.object("v1alpha1", "WorkflowAccessPolicy", &empty);
    let refused = fixture.kube.try_apply(&empty.to_string()).await;
    let text = format!("{:#}", refused.expect_err("a rule about nothing"));
    assert!(
        text.contains("at least one of workflows or activities must contain a rule"),
        "{text}"
    );
}
