//! What a sidecar of one namespace gets of another: nothing, in every way that there is to ask.

use serde_json::{Value, json};
use tonic::{Code, Response, Status};
use trilby_grpc::Channel;
use trilby_proto::{
    operator::v1::{self as proto, operator_client::OperatorClient},
    trilby::operator::v1::{Loaded, ReportRequest, ResourceState, resource_state::Outcome},
};
use trilby_testkit::assert_eventually;

use crate::fixture::Fixture;

/// Every method, asked for the namespace.
macro_rules! every_method {
    ($client:ident, $namespace:ident: $($method:ident($request:ident)),* $(,)?) => {
        vec![$((
            stringify!($method),
            $client.$method(proto::$request { namespace: $namespace.to_owned() }).await.map(drop_reply),
        )),*]
    };
}

fn drop_reply<T>(_: Response<T>) {}

/// What becomes of asking for everything of a namespace.
async fn ask_for_everything(
    client: &mut OperatorClient<Channel>,
    namespace: &str,
) -> Vec<(&'static str, Result<(), Status>)> {
    let mut answers = every_method!(client, namespace:
        component_update(ComponentUpdateRequest),
        list_components(ListComponentsRequest),
        configuration_update(ConfigurationUpdateRequest),
        list_subscriptions_v2(ListSubscriptionsRequest),
        subscription_update(SubscriptionUpdateRequest),
        list_resiliency(ListResiliencyRequest),
        resiliency_update(ResiliencyUpdateRequest),
        list_http_endpoints(ListHttpEndpointsRequest),
        http_endpoint_update(HttpEndpointUpdateRequest),
        list_mcp_servers(ListMcpServersRequest),
        mcp_server_update(McpServerUpdateRequest),
        list_workflow_access_policy(ListWorkflowAccessPolicyRequest),
        workflow_access_policy_update(WorkflowAccessPolicyUpdateRequest),
    );
    let (name, namespace) = ("one".to_owned(), namespace.to_owned());
    let request = proto::GetConfigurationRequest {
        name: name.clone(),
        namespace: namespace.clone(),
    };
    let got = client.get_configuration(request).await;
    answers.push(("get_configuration", got.map(drop_reply)));
    let request = proto::GetResiliencyRequest { name, namespace };
    let got = client.get_resiliency(request).await;
    answers.push(("get_resiliency", got.map(drop_reply)));
    let listed = client.list_subscriptions(()).await;
    answers.push(("list_subscriptions", listed.map(drop_reply)));
    answers
}

/// Names by which somebody might try to pass for a sidecar of the namespace.
fn strangers(shop: &str) -> Vec<String> {
    vec![
        "spiffe://public/ns/bank/cart".to_owned(),
        format!("spiffe://public/ns/{shop}x/cart"),
        format!("spiffe://public/ns/bank/{shop}"),
        format!("spiffe://{shop}/ns/bank/cart"),
        format!("spiffe://public/ns/bank/cart/ns/{shop}/cart"),
        // Nor does who serves the control plane get what apps have.
        "spiffe://cluster.local/ns/dapr-system/dapr-sentry".to_owned(),
    ]
}

fn refusals(metrics: &str) -> u64 {
    let counters = metrics
        .lines()
        .filter(|line| line.starts_with("dapr_operator_refused_requests_total{"));
    let values = counters.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    values.sum()
}

#[tokio::test]
async fn another_namespace_is_refused_by_every_method_and_each_refusal_is_logged_and_counted() {
    let fixture = Fixture::start().await;
    fixture.apply(&fixture.component("one", &json!([]))).await;
    let own = fixture.sidecar("cart");
    assert_eventually!(own.names().await == ["one"]);
    let (mut asked, position) = (0, fixture.operator.log().position());
    for id in strangers(&fixture.shop) {
        let mut client = fixture.sidecar_as(&id).client;
        for namespace in [fixture.shop.as_str(), ""] {
            let answers = ask_for_everything(&mut client, namespace).await;
            assert_eq!(answers.len(), 16, "the methods there are");
            for (method, answer) in answers {
                let status = answer.expect_err(method);
                assert_eq!(
                    status.code(),
                    Code::PermissionDenied,
                    "{id} {method}: {status:?}"
                );
                asked += 1;
            }
        }
    }
    assert_eventually!(refusals(&fixture.operator.metrics().await) == asked);
    let log = fixture.operator.log();
    let line = log.wait_for_after(position, "refused").await;
    let reason = format!("exp={} got=bank", fixture.shop);
    assert!(
        line.contains("ns/bank/cart") && line.contains("ComponentUpdate") && line.contains(&reason),
        "{line}"
    );
    assert_eq!(log.text().matches("msg=refused").count() as u64, asked);
    assert_eq!(own.names().await, ["one"], "its own sidecar is served");
}

#[tokio::test]
async fn what_a_stranger_reports_counts_for_nothing() {
    let fixture = Fixture::start().await;
    fixture.apply(&fixture.component("one", &json!([]))).await;
    let component = async || fixture.kube.get_json(&fixture.shop, "component/one").await;
    assert_eventually!(component().await["status"]["conditions"][0]["status"] == "True");
    let report = |component: &Value| ReportRequest {
        states: vec![ResourceState {
            kind: "Component".to_owned(),
            name: "one".to_owned(),
            uid: component["metadata"]["uid"]
                .as_str()
                .expect("a uid")
                .to_owned(),
            generation: 1,
            outcome: Some(Outcome::Loaded(Loaded {})),
        }],
    };
    let report = report(&component().await);
    for id in strangers(&fixture.shop) {
        let messages = futures_util::stream::iter([report.clone()]);
        let reported = fixture.reports(&id).report(messages).await;
        reported.expect("it is taken, for its own namespace");
    }
    // The last word of the sidecar whose namespace it is shows that all others were looked at.
    let own = format!("spiffe://public/ns/{}/cart", fixture.shop);
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let messages = futures_util::stream::unfold(
        receiver,
        async |mut receiver: tokio::sync::mpsc::Receiver<_>| {
            let message = receiver.recv().await?;
            Some((message, receiver))
        },
    );
    let mut client = fixture.reports(&own);
    let reporting = tokio::spawn(async move { client.report(messages).await.map(drop) });
    sender.send(report).await.expect("the stream is open");
    assert_eventually!(component().await["status"]["sidecars"] == "1/1");
    reporting.abort();
}
