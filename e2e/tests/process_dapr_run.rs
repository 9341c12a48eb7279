//! A sidecar with the flags that the command-line tool's `dapr run` gives it, and what the tool then asks of it.

use serde_json::json;
use trilby_testkit::eventually::{eventually, unexpected};
use trilby_testkit::http::Client;
use trilby_testkit::services::{Daprd, Placement};

const CONFIGURATION: &str = "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: daprConfig\n\
                             spec:\n  nameResolution: {component: nameformat, configuration: {format: 127.0.0.1}}\n";

/// What `dapr run` writes into the metadata, for `dapr list` and `dapr stop` to read.
const NOTES: [(&str, &str); 4] = [
    ("cliPID", "4711"),
    ("appPID", "4712"),
    ("appCommand", "python3 app.py --port 80"),
    ("runTemplatePath", "/home/me/dapr.yaml"),
];

async fn run(placement: &Placement) -> Daprd {
    let daprd = Daprd::new("run");
    let configuration = daprd.file("config.yaml", CONFIGURATION);
    let folder = configuration.with_file_name("components");
    std::fs::create_dir(&folder).expect("the directory is writable");
    let mut daprd = daprd
        .arg("--app-port", 0)
        .arg("--profile-port", -1)
        .arg("--config", configuration.display())
        .arg("--app-protocol", "http")
        .arg("--log-level", "info")
        .arg("--app-max-concurrency", -1)
        .arg("--placement-host-address", placement.grpc_address())
        .arg("--components-path", folder.display())
        .arg("--max-body-size", "4Mi")
        .arg("--read-buffer-size", "4Ki");
    daprd.start().await;
    daprd
}

#[tokio::test]
async fn a_sidecar_keeps_what_dapr_run_notes_and_ends_when_dapr_stop_asks() {
    let mut placement = Placement::new();
    placement.start().await;
    let mut daprd = run(&placement).await;
    for (key, value) in NOTES {
        let url = daprd.url(&format!("/v1.0/metadata/{key}"));
        let request = http::Request::put(url).body(bytes::Bytes::from(value));
        let request = request.expect("it is a request");
        let answer = Client::host().request(request).await;
        let answer = answer.expect("the sidecar answers");
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
    eventually("the sidecar is connected to placement", async || {
        let metadata = Client::host().get(&daprd.url("/v1.0/metadata")).await?;
        let metadata = metadata.json();
        for (key, value) in NOTES {
            assert_eq!(metadata["extended"][key], json!(value));
        }
        if metadata["actorRuntime"]["placement"] == "placement: connected" {
            return Ok(());
        }
        Err(unexpected(&metadata["actorRuntime"]))
    })
    .await;
    assert!(daprd.stop().await.success());
}
