//! The real binary, self-hosted: flags, files, Redis, signals.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::time::Duration;

use http::StatusCode;
use trilby_proto::runtime::v1::dapr_client::DaprClient;
use trilby_proto::runtime::v1::{GetStateRequest, TryLockRequest};
use trilby_testkit::assert_eventually;
use trilby_testkit::http::{Client, Response};
use trilby_testkit::servers::redis::Redis;
use trilby_testkit::services::Daprd;

/// How long a process may take to end by itself.
const END: Duration = Duration::from_secs(20);

fn redis_component(name: &str, redis: &Redis, more: &str) -> String {
    format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\nspec:\n  type: state.redis\n  \
         version: v1\n  metadata:\n  - name: redisHost\n    value: {}\n{more}",
        redis.address()
    )
}

/// A sidecar that loads one component from a folder of its own.
fn with_component(app_id: &str, component: &str) -> (Daprd, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("component.yaml"), component).unwrap();
    let daprd = Daprd::new(app_id).arg("--resources-path", folder.path().display());
    (daprd, folder)
}

async fn get(daprd: &Daprd, path: &str) -> Response {
    Client::host().get(&daprd.url(path)).await.unwrap()
}

async fn post(daprd: &Daprd, path: &str, body: &str) -> Response {
    Client::host().post(&daprd.url(path), body).await.unwrap()
}

#[tokio::test]
async fn state_lies_in_redis_the_way_upstream_lays_it() {
    let redis = Redis::with_password("hunter2").await;
    let password = "  - name: redisPassword\n    value: hunter2\n";
    let (mut daprd, _folder) = with_component("shop", &redis_component("store", &redis, password));
    daprd.start().await;
    let saved = post(
        &daprd,
        "/v1.0/state/store",
        r#"[{"key":"cart","value":{"n":1}}]"#,
    )
    .await;
    assert_eq!(saved.status, StatusCode::NO_CONTENT, "{}", saved.text());
    assert_eq!(
        get(&daprd, "/v1.0/state/store/cart").await.text(),
        r#"{"n":1}"#
    );
    let stored = redis.command(&["HGETALL", "shop||cart"]);
    assert!(
        stored.contains("data") && stored.contains(r#"{"n":1}"#) && stored.contains("version"),
        "{stored}"
    );
    assert!(daprd.stop().await.success());
    assert!(daprd.log().text().contains("Daprd shutdown gracefully"));
    daprd.start().await;
    assert_eq!(
        get(&daprd, "/v1.0/state/store/cart").await.text(),
        r#"{"n":1}"#
    );
}

#[tokio::test]
async fn redis_that_comes_late_heals_the_store() {
    let mut redis = Redis::stopped();
    let (mut daprd, _folder) = with_component("shop", &redis_component("store", &redis, ""));
    daprd.launch();
    assert_eventually!(
        Client::host()
            .get(&daprd.url("/v1.0/healthz"))
            .await
            .is_ok_and(|health| health.status == StatusCode::INTERNAL_SERVER_ERROR
                && health
                    .text()
                    .contains("components: store: [INIT_COMPONENT_FAILURE]"))
    );
    let early = get(&daprd, "/v1.0/state/store/cart").await;
    assert!(!early.status.is_success());
    let metrics = daprd.metrics().await;
    assert!(
        metrics.contains(
            "dapr_runtime_component_init_fail_total{app_id=\"shop\",component=\"state.redis\",componentName=\"store\",reason=\"init\"}"
        ),
        "{metrics}"
    );
    let metadata = get(&daprd, "/v1.0/metadata").await.json();
    assert!(
        metadata["extended"]["component.store.error"].is_string(),
        "{metadata}"
    );
    redis.resume().await;
    assert_eventually!(
        get(&daprd, "/v1.0/state/store/cart").await.status == StatusCode::NO_CONTENT
    );
    assert_eventually!(daprd.is_healthy().await);
    let metadata = get(&daprd, "/v1.0/metadata").await.json();
    assert!(
        metadata["extended"].get("component.store.error").is_none(),
        "{metadata}"
    );
}

#[tokio::test]
async fn locks_lie_in_redis_the_way_upstream_lays_them_whoever_restarts() {
    let mut redis = Redis::start().await;
    let limits = "  - name: readTimeout\n    value: 200ms\n  - name: dialTimeout\n    value: 200ms\n  \
                  - name: redisMaxRetries\n    value: -1\n";
    let component = redis_component("locks", &redis, limits).replace("state.redis", "lock.redis");
    let (mut daprd, _folder) = with_component("shop", &component);
    daprd.start().await;
    let lock = r#"{"resourceId":"r","lockOwner":"me","expiryInSeconds":1000}"#;
    let take = async |daprd: &Daprd| post(daprd, "/v1.0-alpha1/lock/locks", lock).await.text();
    let give_back = async |daprd: &Daprd| post(daprd, "/v1.0-alpha1/unlock/locks", lock).await;
    assert_eq!(take(&daprd).await, r#"{"success":true}"#);
    assert_eq!(redis.command(&["GET", "lock||shop||r"]), "me");
    assert!(daprd.stop().await.success());
    redis.stop().await;
    redis.resume().await;
    daprd.start().await;
    let address = format!("http://{}", daprd.grpc_address());
    let mut client = DaprClient::connect(address).await.unwrap();
    let request = TryLockRequest {
        store_name: "locks".to_owned(),
        resource_id: "r".to_owned(),
        lock_owner: "you".to_owned(),
        expiry_in_seconds: 1_000,
    };
    let taken = client.try_lock_alpha1(request).await.unwrap();
    assert!(!taken.into_inner().success);
    redis.freeze();
    let unanswered = give_back(&daprd).await;
    assert_eq!(unanswered.status, StatusCode::INTERNAL_SERVER_ERROR);
    let error = unanswered.json();
    assert_eq!(error["errorCode"], "ERR_UNLOCK");
    let text = error["message"].as_str().unwrap();
    assert!(text.contains(&redis.address().to_string()), "{text}");
    redis.thaw();
    assert_eventually!(take(&daprd).await == r#"{"success":false}"#);
    assert_eq!(give_back(&daprd).await.text(), r#"{"status":0}"#);
    assert_eq!(redis.command(&["EXISTS", "lock||shop||r"]), "0");
    let metrics = daprd.metrics().await;
    let counted = "dapr_component_lock_count{app_id=\"shop\",component=\"locks\",namespace=\"default\",operation=\"unlock\",success=\"false\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn one_process_calls_the_other() {
    let mut b = Daprd::new("b");
    let target = b.internal_address();
    b = b.app_port(echo().await);
    let a = Daprd::new("a");
    let configuration = a.file(
        "config.yaml",
        &format!(
            "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: c\nspec:\n  nameResolution:\n    \
             component: kubernetes\n    configuration:\n      template: '{target}'\n"
        ),
    );
    let mut a = a.arg("--config", configuration.display());
    tokio::join!(a.start(), b.start());
    let response = get(&a, "/v1.0/invoke/b/method/hello?x=1").await;
    assert_eq!(
        (response.status, response.text().as_str()),
        (StatusCode::OK, "/hello?x=1")
    );
    let metrics = a.metrics().await;
    assert!(
        metrics.contains(
            "dapr_runtime_service_invocation_req_sent_total{app_id=\"a\",dst_app_id=\"b\""
        ),
        "{metrics}"
    );
    assert!(
        metrics.contains("dapr_http_server_request_count"),
        "{metrics}"
    );
}

/// An application that answers the address it was asked for.
async fn echo() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = axum::Router::new().fallback(|uri: http::Uri| async move { uri.to_string() });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    port
}

#[tokio::test]
async fn application_ends_its_sidecar() {
    let mut daprd = Daprd::new("a");
    daprd.start().await;
    assert_eq!(
        post(&daprd, "/v1.0/shutdown", "").await.status,
        StatusCode::NO_CONTENT
    );
    assert!(daprd.ended(END).await.success());
    daprd.start().await;
    let request =
        http::Request::post(daprd.url("/v1.0/shutdown")).header("dapr-force-shutdown", "true");
    let request = request.body(bytes::Bytes::new()).unwrap();
    assert_eq!(
        Client::host().request(request).await.unwrap().status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(daprd.ended(END).await.code(), Some(1));
}

#[tokio::test]
async fn settings_that_cannot_work_end_the_process_by_name() {
    for (daprd, code, text) in [
        (Daprd::new("a.b"), 1, "parameter app-id cannot contain dots"),
        (
            Daprd::new("a").raw_arg("--no-such-flag"),
            2,
            "--no-such-flag",
        ),
        (
            Daprd::new("a").arg("--app-protocol", "carrier-pigeon"),
            2,
            "carrier-pigeon",
        ),
        (
            Daprd::new("a").raw_arg("--enable-mtls"),
            1,
            "trust anchors are required",
        ),
        (
            Daprd::new("a").arg("--resources-path", "/no/such/folder"),
            1,
            "/no/such/folder",
        ),
    ] {
        let mut daprd = daprd;
        daprd.launch();
        let status = daprd.ended(END).await;
        let log = daprd.log().text();
        assert_eq!(status.code(), Some(code), "{log}");
        assert!(log.contains(text), "{text:?} is missing in {log}");
    }
}

#[tokio::test]
async fn flags_without_effect_are_named_and_accepted() {
    let flags = [("--scheduler-host-address", "127.0.0.1:1")];
    let mut daprd = flags.iter().fold(Daprd::new("a"), |daprd, (flag, value)| {
        daprd.arg(flag, value)
    });
    daprd.start().await;
    let log = daprd.log().text();
    for (flag, _) in flags {
        assert!(
            log.contains(&format!("flag {flag} has no effect")),
            "{flag} is missing in {log}"
        );
    }
}

#[test]
fn version_is_daprs() {
    let output = |flag| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_daprd"))
            .arg(flag)
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(output("--version").trim(), "1.18.0");
    let info = output("--build-info");
    let names = info.lines().map(|line| line.split_once(": ").unwrap().0);
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["Version", "Git Commit", "Git Version"]
    );
    assert!(info.contains("Trilby"));
}

#[tokio::test]
async fn hangup_reads_everything_again_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let daprd = Daprd::new("shop");
    let off = "kind: Configuration\nspec:\n  features:\n  - name: HotReload\n    enabled: false\n";
    let configuration = daprd.file("config.yaml", off);
    let mut daprd = daprd
        .arg("--config", configuration.display())
        .arg("--resources-path", folder.path().display());
    daprd.start().await;
    let pid = daprd.pid();
    let resiliency = "apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata:\n  name: r\n";
    std::fs::write(folder.path().join("r.yaml"), resiliency).unwrap();
    let denied = format!("{off}  api:\n    denied:\n    - name: secrets\n      version: v1.0\n");
    std::fs::write(&configuration, denied).unwrap();
    daprd.hang_up();
    assert_eventually!(
        get(&daprd, "/v1.0/metadata").await.json()["resiliencies"][0]["name"] == "r"
    );
    assert_eventually!(
        get(&daprd, "/v1.0/secrets/any/one").await.json()["errorCode"] == "ERR_DIRECT_INVOKE"
    );
    assert_eq!(daprd.pid(), pid);
    assert!(daprd.stop().await.success());
}

#[tokio::test]
async fn the_api_log_says_what_was_asked_and_answered_whatever_the_level() {
    let daprd = Daprd::new("shop");
    let mut daprd = daprd
        .arg("--enable-api-logging", "true")
        .arg("--log-level", "fatal");
    daprd.start().await;
    let answer = get(&daprd, "/v1.0/state/absent/k").await;
    let line = |line: &str| {
        line.contains("scope=dapr.runtime.http-info")
            && line.contains("method=\"GET /v1.0/state/absent/k\"")
            && line.contains(&format!("code={}", answer.status.as_u16()))
            && line.contains(&format!("size={}", answer.body.len()))
            && line.contains("duration=")
    };
    assert_eventually!(daprd.log().text().lines().any(line));

    let channel =
        tonic::transport::Endpoint::from_shared(format!("http://{}", daprd.grpc_address()));
    let channel = channel.unwrap().user_agent("test/1").unwrap();
    let mut client = DaprClient::new(channel.connect().await.unwrap());
    let missing = client.get_state(GetStateRequest::default()).await;
    assert_eq!(missing.unwrap_err().code(), tonic::Code::FailedPrecondition);
    let line = |line: &str| {
        line.contains("scope=dapr.runtime.grpc.api-info")
            && line.contains("method=/dapr.proto.runtime.v1.Dapr/GetState")
            && line.contains("useragent=\"test/1")
            && line.contains("code=9")
    };
    assert_eventually!(daprd.log().text().lines().any(line));
}
