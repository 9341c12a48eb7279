//! Metrics as those see them who collect them: a real Prometheus scrapes the real binary.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use trilby_testkit::assert_eventually;
use trilby_testkit::http::Client;
use trilby_testkit::servers::prometheus::Prometheus;
use trilby_testkit::services::Daprd;

fn with_metrics(daprd: Daprd, spec: &str) -> Daprd {
    let text = format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: c\nspec:\n  metrics:\n{spec}"
    );
    let path = daprd.file("config.yaml", &text);
    daprd.arg("--config", path.display())
}

#[tokio::test]
async fn prometheus_reads_what_is_served() {
    let mut daprd = with_metrics(
        Daprd::new("shop"),
        "    latencyDistributionBuckets: [5, 50]\n    recordErrorCodes: true\n",
    );
    daprd.start().await;
    let missing = daprd.url("/v1.0/state/none/key");
    assert!(
        !Client::host()
            .get(&missing)
            .await
            .unwrap()
            .status
            .is_success()
    );
    let prometheus = Prometheus::scraping(&[daprd.metrics_address()]).await;
    // Both are percent-encoded by hand: {status="204"} and {le="5"}.
    let count = "dapr_http_server_request_count%7Bstatus%3D%22204%22%7D";
    assert_eventually!(prometheus.query(count).await.is_ok_and(|series| {
        series
            .iter()
            .any(|sample| sample.labels["path"] == "/v1.0/healthz")
    }));
    let up = prometheus.query("up").await.unwrap();
    assert_eq!((up.len(), up[0].value.as_str()), (1, "1"));
    let buckets = prometheus
        .query("dapr_http_server_latency_bucket%7Bstatus%3D%22204%22%7D")
        .await
        .unwrap();
    let mut bounds: Vec<&str> = buckets
        .iter()
        .map(|sample| sample.labels["le"].as_str().unwrap())
        .collect();
    bounds.sort_unstable();
    bounds.dedup();
    assert_eq!(bounds, ["+Inf", "5", "50"]);
    let sizes = prometheus
        .query("dapr_http_server_response_bytes_bucket%7Ble%3D%221.048576e%2B06%22%7D")
        .await
        .unwrap();
    assert_eq!(sizes.len(), 1);
    let errors = prometheus.query("dapr_error_code_total").await.unwrap();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(
        errors[0].labels["error_code"],
        "ERR_STATE_STORE_NOT_CONFIGURED"
    );
    assert_eq!(errors[0].labels["category"], "state");
    assert_eq!(errors[0].labels["app_id"], "shop");
}

#[tokio::test]
async fn a_changed_configuration_is_followed_without_a_restart() {
    let mut daprd = with_metrics(
        Daprd::new("shop"),
        "    http:\n      increasedCardinality: false\n",
    );
    daprd.start().await;
    assert!(!daprd.metrics().await.contains("/v1.0/healthz"));
    let changed = "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: c\nspec:\n  metrics:\n    http:\n      \
                   increasedCardinality: true\n";
    daprd.file("config.yaml", changed);
    assert_eventually!({
        let health = daprd.url("/v1.0/healthz");
        Client::host().get(&health).await.unwrap();
        daprd.metrics().await.contains("path=\"/v1.0/healthz\"")
    });
}

#[tokio::test]
async fn settings_that_cannot_be_used_end_the_start_by_name() {
    let mut daprd = with_metrics(
        Daprd::new("shop"),
        "    http:\n      pathMatching: ['/a/{b']\n",
    );
    daprd.launch();
    let status = daprd.ended(std::time::Duration::from_secs(20)).await;
    let log = daprd.log().text();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(
        log.contains("spec.metrics") && log.contains("/a/{b"),
        "{log}"
    );
}

#[tokio::test]
async fn without_metrics_nobody_listens() {
    let mut daprd = Daprd::new("shop").raw_arg("--enable-metrics=false");
    daprd.start().await;
    assert!(
        tokio::net::TcpStream::connect(daprd.metrics_address())
            .await
            .is_err()
    );
}
