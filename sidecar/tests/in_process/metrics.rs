//! What a scrape shows after real requests, as upstream's own suite expects it.

use http::StatusCode;
use trilby_grpc::{Channel, ChannelConfig, Target};
use trilby_proto::common::v1::http_extension::Verb;
use trilby_proto::common::v1::{HttpExtension, InvokeRequest, StateItem};
use trilby_proto::runtime::v1::dapr_client::DaprClient;
use trilby_proto::runtime::v1::{GetStateRequest, InvokeServiceRequest, SaveStateRequest};
use trilby_testkit::assert_eventually;

use crate::sentry::Sentry;
use crate::sidecar::{Directory, Settings, Sidecar};
use crate::{app, grpc_app};

const STORE: &str = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: store\nspec:\n  \
                     type: state.in-memory\n  version: v1\n";

/// A sidecar with an application, a store, and these settings of metrics.
async fn sidecar(spec: &str) -> (Sidecar, [tempfile::TempDir; 2]) {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    std::fs::write(folders[0].path().join("store.yaml"), STORE).unwrap();
    let config = folders[1].path().join("config.yaml");
    let text = format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: c\nspec:\n  metrics:\n    enabled: true\n{spec}"
    );
    std::fs::write(&config, text).unwrap();
    let flag = format!("--config={}", config.display());
    let settings = Settings::new("myapp")
        .app(app::start().await)
        .resources(folders[0].path())
        .flags(&[&flag]);
    (
        Sidecar::start(settings, &Directory::default()).await,
        folders,
    )
}

fn scrape(sidecar: &Sidecar) -> String {
    let pieces: Vec<_> = sidecar.process.scrape().collect();
    String::from_utf8(pieces.concat()).unwrap()
}

/// Whether a scrape has this line.
fn shows(sidecar: &Sidecar, line: &str) -> bool {
    scrape(sidecar).lines().any(|found| found == line)
}

fn http_count(method: &str, path: &str, status_and_value: (u16, u32)) -> String {
    let (status, value) = status_and_value;
    format!(
        "dapr_http_server_request_count{{app_id=\"myapp\",method=\"{method}\",path=\"{path}\",status=\"{status}\"}} {value}"
    )
}

async fn save(sidecar: &Sidecar) {
    let saved = sidecar
        .post("/v1.0/state/store", r#"[{"key":"myvalue","value":"x"}]"#)
        .await;
    assert_eq!(saved.status, StatusCode::NO_CONTENT, "{}", saved.text());
    assert_eq!(
        sidecar.get("/v1.0/state/store/myvalue").await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn paths_are_shown_without_keys_unless_the_configuration_says_otherwise() {
    let (a, _folders) = sidecar("").await;
    a.get("/v1.0/invoke/myapp/method/hi").await;
    save(&a).await;
    a.get("/v1.0/healthz").await;
    for line in [
        http_count("GET", "/v1.0/invoke/myapp/method/hi", (200, 1)),
        http_count("POST", "/v1.0/state/store", (204, 1)),
        http_count("GET", "/v1.0/state/store", (200, 1)),
        http_count("GET", "/v1.0/healthz", (204, 1)).replace("request_count", "response_count"),
        r#"dapr_http_client_completed_count{app_id="myapp",method="GET",path="/hi",status="200"} 1"#.to_owned(),
        r#"dapr_http_client_completed_count{app_id="myapp",method="GET",path="/dapr/config",status="404"} 1"#.to_owned(),
        r#"dapr_component_state_count{app_id="myapp",component="store",namespace="default",operation="set",success="true"} 1"#.to_owned(),
        r#"dapr_component_state_count{app_id="myapp",component="store",namespace="default",operation="get",success="true"} 1"#.to_owned(),
    ] {
        assert_eventually!(shows(&a, &line));
    }
}

#[tokio::test]
async fn low_cardinality_shows_the_paths_that_are_named() {
    let (a, _folders) = sidecar(
        "    latencyDistributionBuckets: [5, 50, 500, 5000]\n    http:\n      increasedCardinality: false\n      pathMatching:\n      \
         - /v1.0/invoke/myapp/method/orders/1234\n      - /v1.0/invoke/myapp/method/orders/{orderID}\n      \
         - /v1.0/state/store/{key}\n",
    )
    .await;
    for path in ["orders/1111", "orders/1234", "items/1", "items/2"] {
        a.get(&format!("/v1.0/invoke/myapp/method/{path}")).await;
    }
    a.get("//v1.0/invoke/myapp/method/orders/9999").await;
    save(&a).await;
    for line in [
        http_count(
            "GET",
            "/v1.0/invoke/myapp/method/orders/{orderID}",
            (200, 2),
        ),
        http_count("GET", "/v1.0/invoke/myapp/method/orders/1234", (200, 1)),
        http_count("GET", "", (200, 2)),
        http_count("GET", "/v1.0/state/store/{key}", (200, 1)),
    ] {
        assert_eventually!(shows(&a, &line));
    }
    let text = scrape(&a);
    assert!(!text.contains("dapr_http_server_response_count"));
    assert!(text.contains("status=\"200\",le=\"5000\"} 2"), "{text}");
}

#[tokio::test]
async fn verbs_can_be_left_out() {
    let (a, _folders) = sidecar("    http:\n      excludeVerbs: true\n").await;
    save(&a).await;
    assert_eventually!(shows(&a, &http_count("", "/v1.0/state/store", (200, 1))));
}

#[tokio::test]
async fn errors_are_counted_by_code_over_both_apis() {
    let (a, _folders) = sidecar("    recordErrorCodes: true\n").await;
    for _ in 0..3 {
        let answer = a.get("/v1.0/workflow/dapr/absent").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
    let request = GetStateRequest {
        store_name: "none".to_owned(),
        key: "k".to_owned(),
        ..GetStateRequest::default()
    };
    client(&a).get_state(request).await.unwrap_err();
    assert!(shows(
        &a,
        r#"dapr_error_code_total{app_id="myapp",category="service-invocation",error_code="ERR_DIRECT_INVOKE"} 3"#
    ));
    assert!(shows(
        &a,
        r#"dapr_error_code_total{app_id="myapp",category="state",error_code="ERR_STATE_STORE_NOT_FOUND"} 1"#
    ));
}

fn client(sidecar: &Sidecar) -> DaprClient<Channel> {
    let target = Target {
        host: "127.0.0.1".to_owned(),
        port: sidecar.grpc.port(),
    };
    DaprClient::new(trilby_grpc::channel(target, None, ChannelConfig::default()).unwrap())
}

fn invoke(app_id: &str) -> InvokeServiceRequest {
    InvokeServiceRequest {
        id: app_id.to_owned(),
        message: Some(InvokeRequest {
            method: "hi".to_owned(),
            http_extension: Some(HttpExtension {
                verb: Verb::Get as i32,
                querystring: String::new(),
            }),
            ..InvokeRequest::default()
        }),
    }
}

#[tokio::test]
async fn calls_over_grpc_are_counted_by_method_with_the_sizes_of_their_messages() {
    let (a, _folders) = sidecar("").await;
    let mut client = client(&a);
    client.invoke_service(invoke("myapp")).await.unwrap();
    let item = StateItem {
        key: "myvalue".to_owned(),
        value: bytes::Bytes::from_static(b"\"x\""),
        ..StateItem::default()
    };
    let request = SaveStateRequest {
        store_name: "store".to_owned(),
        states: vec![item],
    };
    let size = prost::Message::encoded_len(&request);
    client.save_state(request).await.unwrap();
    for line in [
        r#"dapr_grpc_io_server_completed_rpcs{app_id="myapp",grpc_server_method="/dapr.proto.runtime.v1.Dapr/InvokeService",grpc_server_status="OK"} 1"#.to_owned(),
        r#"dapr_grpc_io_server_completed_rpcs{app_id="myapp",grpc_server_method="/dapr.proto.runtime.v1.Dapr/SaveState",grpc_server_status="OK"} 1"#.to_owned(),
        format!(r#"dapr_grpc_io_server_received_bytes_per_rpc_sum{{app_id="myapp",grpc_server_method="/dapr.proto.runtime.v1.Dapr/SaveState"}} {size}"#),
    ] {
        assert_eventually!(shows(&a, &line));
    }
}

#[tokio::test]
async fn both_sides_of_a_call_between_sidecars_count_it() {
    let (sentry, directory) = (Sentry::start().await, Directory::default());
    let rpc = Settings::new("rpc")
        .app(grpc_app::start().await)
        .sentry(&sentry)
        .flags(&["--app-protocol=grpc"]);
    let rpc = Sidecar::start(rpc, &directory).await;
    let a = Sidecar::start(Settings::new("a").sentry(&sentry), &directory).await;
    client(&a).invoke_service(invoke("rpc")).await.unwrap();
    for line in [
        r#"dapr_runtime_service_invocation_req_sent_total{app_id="a",dst_app_id="rpc",type="unary"} 1"#,
        r#"dapr_runtime_service_invocation_res_recv_total{app_id="a",src_app_id="rpc",status="0",type="unary"} 1"#,
        r#"dapr_runtime_service_invocation_res_recv_latency_ms_count{app_id="a",src_app_id="rpc",status="0"} 1"#,
        r#"dapr_runtime_mtls_init_total{app_id="a"} 1"#,
    ] {
        assert_eventually!(shows(&a, line));
    }
    for line in [
        r#"dapr_runtime_service_invocation_req_recv_total{app_id="rpc",src_app_id="a"} 1"#,
        r#"dapr_runtime_service_invocation_res_sent_total{app_id="rpc",dst_app_id="a",status="0"} 1"#,
        r#"dapr_grpc_io_client_completed_rpcs{app_id="rpc",grpc_client_method="/dapr.proto.runtime.v1.AppCallback/OnInvoke",grpc_client_status="OK"} 1"#,
    ] {
        assert_eventually!(shows(&rpc, line));
    }
}
