use std::collections::BTreeSet;

use http::{Method, StatusCode};
use tokio::time::Instant;
use tonic::Code;
use trilby_actors::Observer as _;
use trilby_bootstrap::Exposition as _;
use trilby_crds::ConfigurationSpec;

use super::{
    CallKind, Completed, Metrics, Operation, PolicyLabels, Served, Settings, Sizes, StartFailure,
    catalogue,
};

fn settings(json: &str) -> Settings {
    let spec: ConfigurationSpec = serde_json::from_str(json).unwrap();
    Settings::new(&spec).unwrap()
}

fn metrics(json: &str) -> Metrics {
    Metrics::new("shop", "default", &settings(json))
}

fn scrape(metrics: &Metrics) -> String {
    let pieces: Vec<_> = metrics.pieces().collect();
    String::from_utf8(pieces.concat()).unwrap()
}

fn lines<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
    text.lines()
        .filter(|line| line.starts_with(start))
        .collect()
}

fn get(metrics: &Metrics, path: &str) {
    let served = Served {
        method: &Method::GET,
        path,
        status: StatusCode::OK,
        sizes: Sizes {
            request: 0,
            response: 2048,
        },
    };
    metrics.http_server().served(&served, Instant::now());
}

#[test]
fn families_have_upstreams_form() {
    let mut names = BTreeSet::new();
    for definition in catalogue() {
        assert!(names.insert(definition.name), "{}", definition.name);
        let labels: Vec<_> = definition.labels.iter().map(|label| label.name).collect();
        assert!(labels.is_sorted(), "{}: {labels:?}", definition.name);
        assert!(definition.help.ends_with('.'), "{}", definition.name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_shown_with_its_labels_in_the_order_of_the_alphabet() {
    let metrics = metrics("{}");
    get(&metrics, "/v1.0/state/store/cart");
    let text = scrape(&metrics);
    let labels = r#"{app_id="shop",method="GET",path="/v1.0/state/store",status="200"}"#;
    assert_eq!(
        lines(&text, "dapr_http_server_request_count"),
        [format!("dapr_http_server_request_count{labels} 1")]
    );
    assert!(text.contains(&format!("dapr_http_server_response_count{labels} 1\n")));
    assert!(text.contains("# TYPE dapr_http_server_latency histogram\n"));
    assert!(text.contains(
        "dapr_http_server_latency_bucket{app_id=\"shop\",method=\"GET\",path=\"/v1.0/state/store\",status=\"200\",le=\"100000\"} 1\n"
    ));
    let sizes = lines(&text, "dapr_http_server_response_bytes");
    assert_eq!(
        sizes[0],
        r#"dapr_http_server_response_bytes_bucket{app_id="shop",le="1024"} 0"#
    );
    assert_eq!(
        sizes[1],
        r#"dapr_http_server_response_bytes_bucket{app_id="shop",le="2048"} 1"#
    );
    assert_eq!(
        sizes[12],
        r#"dapr_http_server_response_bytes_bucket{app_id="shop",le="4.294967296e+09"} 1"#
    );
    assert_eq!(
        sizes[13],
        r#"dapr_http_server_response_bytes_bucket{app_id="shop",le="+Inf"} 1"#
    );
    assert_eq!(
        sizes[14],
        r#"dapr_http_server_response_bytes_sum{app_id="shop"} 2048"#
    );
    assert_eq!(
        sizes[15],
        r#"dapr_http_server_response_bytes_count{app_id="shop"} 1"#
    );
}

#[tokio::test(start_paused = true)]
async fn low_cardinality_and_left_out_verbs_leave_labels_empty() {
    let metrics =
        metrics(r#"{"metrics":{"http":{"increasedCardinality":false,"excludeVerbs":true}}}"#);
    get(&metrics, "/a");
    get(&metrics, "/b");
    let text = scrape(&metrics);
    assert_eq!(
        lines(&text, "dapr_http_server_request_count"),
        [r#"dapr_http_server_request_count{app_id="shop",method="",path="",status="200"} 2"#]
    );
    assert!(!text.contains("dapr_http_server_response_count"));
}

#[tokio::test(start_paused = true)]
async fn odd_verbs_are_one() {
    let metrics = metrics("{}");
    for verb in ["BREW", "WHEN"] {
        let served = Served {
            method: &verb.parse().unwrap(),
            path: "/pot",
            status: StatusCode::IM_A_TEAPOT,
            sizes: Sizes::default(),
        };
        metrics.http_server().served(&served, Instant::now());
    }
    assert_eq!(
        lines(&scrape(&metrics), "dapr_http_server_request_count"),
        [
            r#"dapr_http_server_request_count{app_id="shop",method="UNKNOWN",path="/pot",status="418"} 2"#
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn sizes_sent_to_the_application_carry_the_status_of_its_answer() {
    let metrics = metrics("{}");
    let served = Served {
        method: &Method::POST,
        path: "orders",
        status: StatusCode::CREATED,
        sizes: Sizes {
            request: 10,
            response: 3,
        },
    };
    metrics.http_client().called(&served, Instant::now());
    metrics.http_client().received(3);
    let text = scrape(&metrics);
    assert!(text.contains(
        r#"dapr_http_client_sent_bytes_sum{app_id="shop",method="POST",path="/orders",status="201"} 10"#
    ));
    assert!(text.contains(r#"dapr_http_client_received_bytes_sum{app_id="shop"} 3"#));
}

#[tokio::test(start_paused = true)]
async fn every_block_counts_under_its_names() {
    let metrics = metrics(r#"{"metrics":{"recordErrorCodes":true}}"#);
    let start = Instant::now();
    let call = Completed {
        method: "/x.Y/Z",
        status: Code::NotFound,
        sizes: Some(Sizes::default()),
    };
    metrics.grpc_server().served(&call, start);
    metrics.grpc_client().called(&call, start);
    metrics.grpc_client().probed(Code::Ok, start);
    metrics.http_client().probed(StatusCode::OK, start);
    let calls = metrics.invocation();
    calls.sent("callee", CallKind::Unary).received(200);
    calls.sent("callee", CallKind::Streaming).received(5);
    calls.received("caller");
    calls.answered("caller", 404);
    let components = metrics.components();
    components.done((Operation::StateGet, "store"), &Ok::<(), ()>(()), start);
    components.done(
        (Operation::SecretBulkGet, "vault"),
        &Err::<(), ()>(()),
        start,
    );
    components.started("state.redis");
    components.failed("state.redis", "store", StartFailure::Init);
    metrics.actors().rebalanced("Cat");
    metrics.actors().deactivated("Cat", Err(()));
    metrics.actors().pending("Cat", 2);
    metrics.actors().pending("Cat", -1);
    metrics.http_server().failed("ERR_STATE_GET");
    let text = scrape(&metrics);
    for line in [
        r#"dapr_grpc_io_server_completed_rpcs{app_id="shop",grpc_server_method="/x.Y/Z",grpc_server_status="NotFound"} 1"#,
        r#"dapr_grpc_io_server_received_bytes_per_rpc_count{app_id="shop",grpc_server_method="/x.Y/Z"} 1"#,
        r#"dapr_grpc_io_client_completed_rpcs{app_id="shop",grpc_client_method="/x.Y/Z",grpc_client_status="NotFound"} 1"#,
        r#"dapr_grpc_io_healthprobes_completed_count{app_id="shop",grpc_client_status="OK"} 1"#,
        r#"dapr_http_healthprobes_completed_count{app_id="shop",status="200"} 1"#,
        r#"dapr_runtime_service_invocation_req_sent_total{app_id="shop",dst_app_id="callee",type="unary"} 1"#,
        r#"dapr_runtime_service_invocation_req_sent_total{app_id="shop",dst_app_id="callee",type="streaming"} 1"#,
        r#"dapr_runtime_service_invocation_req_recv_total{app_id="shop",src_app_id="caller"} 1"#,
        r#"dapr_runtime_service_invocation_res_sent_total{app_id="shop",dst_app_id="caller",status="404"} 1"#,
        r#"dapr_runtime_service_invocation_res_recv_total{app_id="shop",src_app_id="callee",status="200",type="unary"} 1"#,
        r#"dapr_runtime_service_invocation_res_recv_total{app_id="shop",src_app_id="callee",status="5",type="streaming"} 1"#,
        r#"dapr_runtime_service_invocation_res_recv_latency_ms_count{app_id="shop",src_app_id="callee",status="200"} 1"#,
        r#"dapr_component_state_count{app_id="shop",component="store",namespace="default",operation="get",success="true"} 1"#,
        r#"dapr_component_secret_latencies_count{app_id="shop",component="vault",namespace="default",operation="bulk_get",success="false"} 1"#,
        r#"dapr_runtime_component_init_total{app_id="shop",component="state.redis"} 1"#,
        r#"dapr_runtime_component_init_fail_total{app_id="shop",component="state.redis",componentName="store",reason="init"} 1"#,
        r#"dapr_runtime_actor_rebalanced_total{actor_type="Cat",app_id="shop"} 1"#,
        r#"dapr_runtime_actor_deactivated_failed_total{actor_type="Cat",app_id="shop"} 1"#,
        r#"dapr_runtime_actor_pending_actor_calls{actor_type="Cat",app_id="shop"} 1"#,
        r#"dapr_error_code_total{app_id="shop",category="state",error_code="ERR_STATE_GET"} 1"#,
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line}\nin\n{text}"
        );
    }
    // Upstream has no latency for streams.
    assert!(!text.contains(r#"latency_ms_count{app_id="shop",src_app_id="callee",status="5"}"#));
}

const BREAKER: PolicyLabels<'_> = PolicyLabels {
    name: "policies",
    namespace: "default",
    policy: "circuitbreaker",
    flow_direction: "outbound",
    target: "app_b",
    status: "half-open",
};

/// The states that the circuit breaker is shown in.
fn states(metrics: &Metrics) -> Vec<String> {
    let text = scrape(metrics);
    let states = lines(&text, "dapr_resiliency_cb_state{");
    assert_eq!(states.len(), 4, "{text}");
    let shown = states.iter().filter(|line| line.ends_with(" 1"));
    shown.map(|line| (*line).to_owned()).collect()
}

#[test]
fn a_circuit_breaker_is_in_one_state() {
    let metrics = metrics("{}");
    metrics.resiliency().loaded("policies", "default");
    metrics.resiliency().executed(&BREAKER);
    assert_eq!(
        states(&metrics),
        [
            r#"dapr_resiliency_cb_state{app_id="shop",flow_direction="outbound",name="policies",namespace="default",policy="circuitbreaker",status="half-open",target="app_b"} 1"#
        ]
    );
}

/// Not only when the next operation begins, which may be never.
#[test]
fn a_circuit_breaker_that_closes_is_shown_closed_at_once() {
    let metrics = metrics("{}");
    metrics.resiliency().executed(&BREAKER);
    metrics.resiliency().activated(&PolicyLabels {
        status: "closed",
        ..BREAKER
    });
    let states = states(&metrics);
    assert_eq!(states.len(), 1);
    assert!(states[0].contains(r#"status="closed""#), "{states:?}");
}

#[test]
fn access_control_names_the_caller_as_app_id() {
    let metrics = metrics("{}");
    let caller = "spiffe://cluster.local/ns/shop/basket".parse().unwrap();
    metrics.invocation().decided(
        crate::acl::Scope::Global,
        crate::acl::Action::Deny,
        Some(&caller),
    );
    let text = scrape(&metrics);
    assert_eq!(
        lines(&text, "dapr_runtime_acl"),
        [
            r#"dapr_runtime_acl_global_policy_action_blocked_total{app_id="basket",namespace="shop",trustDomain="cluster.local"} 1"#
        ]
    );
}

#[test]
fn error_codes_are_counted_only_when_asked_for() {
    let metrics = metrics("{}");
    metrics.http_server().failed("ERR_STATE_GET");
    assert_eq!(scrape(&metrics), "");
}

#[tokio::test(start_paused = true)]
async fn rules_rewrite_the_labels_of_their_metric_only() {
    let metrics = metrics(
        r#"{"metrics":{"rules":[{"name":"dapr_http_server_request_count","labels":[
            {"name":"path","regex":{"/orders/{id}":"/orders/.+"}}]}]}}"#,
    );
    for order in 0..5 {
        get(&metrics, &format!("/orders/{order}"));
    }
    let text = scrape(&metrics);
    assert_eq!(
        lines(&text, "dapr_http_server_request_count"),
        [
            r#"dapr_http_server_request_count{app_id="shop",method="GET",path="/orders/{id}",status="200"} 5"#
        ]
    );
    assert_eq!(lines(&text, "dapr_http_server_response_count").len(), 5);
}

#[tokio::test(start_paused = true)]
async fn rules_lower_the_number_of_series_before_the_limit_does() {
    let metrics = metrics(
        r#"{"metrics":{"rules":[{"name":"dapr_http_server_request_count","labels":[
            {"name":"path","regex":{"/orders/{id}":"/orders/.+"}}]}]}}"#,
    );
    for order in 0..3000 {
        get(&metrics, &format!("/orders/{order}"));
    }
    let text = scrape(&metrics);
    assert!(text.contains(r#"path="/orders/{id}",status="200"} 3000"#));
    assert!(!text.contains(r#"dapr_runtime_metrics_overflow_total{app_id="shop",metric="dapr_http_server_request_count"}"#));
    assert!(text.contains(
        r#"dapr_runtime_metrics_overflow_total{app_id="shop",metric="dapr_http_server_latency"} 2000"#
    ));
}

#[tokio::test(start_paused = true)]
async fn a_changed_configuration_leaves_what_it_does_not_change() {
    let metrics = metrics("{}");
    get(&metrics, "/a");
    metrics.apply(&settings(
        r#"{"metrics":{"latencyDistributionBuckets":[5,50]}}"#,
    ));
    get(&metrics, "/a");
    let text = scrape(&metrics);
    assert!(lines(&text, "dapr_http_server_request_count")[0].ends_with(" 2"));
    // Two bounds and what is above, the sum, the count: from the change on.
    let latencies = lines(&text, "dapr_http_server_latency");
    assert_eq!(latencies.len(), 5);
    assert!(latencies[4].ends_with(" 1"));
    metrics.apply(&settings(r#"{"metrics":{"enabled":false}}"#));
    get(&metrics, "/a");
    assert_eq!(scrape(&metrics), "");
}

#[test]
fn off_is_off() {
    let metrics = Metrics::off("shop", "default");
    metrics.invocation().received("caller");
    assert_eq!(scrape(&metrics), "");
}

#[tokio::test(start_paused = true)]
async fn a_scrape_is_made_of_pieces_of_whole_lines() {
    let metrics = metrics("{}");
    for number in 0..200 {
        get(&metrics, &format!("/{number}"));
    }
    let pieces: Vec<_> = metrics.pieces().collect();
    assert!(pieces.len() > 10, "{}", pieces.len());
    for piece in pieces {
        assert!(piece.ends_with(b"\n") && piece.len() < 64 * 1024);
    }
}
