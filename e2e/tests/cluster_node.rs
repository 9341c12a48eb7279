//! The one-node cluster does what the cluster tests and the demo rely on.

use serde_json::json;
use tokio::sync::OnceCell;
use trilby_testkit::state_dir::StateDir;
use trilby_testkit::{Cluster, assert_eventually, images, unexpected};

/// The cluster that the tests of this file share, with Redis and Python.
async fn cluster() -> &'static Cluster {
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    SHARED
        .get_or_init(async || {
            let images = [images::redis(), images::python()].map(|image| image.expect("installed"));
            Cluster::with_images(&images).await
        })
        .await
}

/// A Deployment of a web server that says its own name, and its Service.
const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: e2e.local/python:1
        readinessProbe: {httpGet: {path: /, port: 8000}, periodSeconds: 1}
        args:
        - -c
        - |
          import http.server, socket
          class Web(http.server.BaseHTTPRequestHandler):
              def do_GET(self):
                  self.send_response(200)
                  self.end_headers()
                  self.wfile.write(socket.gethostname().encode())
          http.server.ThreadingHTTPServer(("", 8000), Web).serve_forever()
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8000}]
"#;

/// A pod that only waits to be told what to run.
fn idle_pod(name: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "app", "image": "e2e.local/python:1",
                "args": ["-c", "import signal; print('up', flush=True); signal.pause()"],
                "volumeMounts": [{"name": "token", "mountPath": "/token"}],
            }],
            "volumes": [{"name": "token", "projected": {"sources": [
                {"serviceAccountToken": {"path": "token", "audience": "sentry"}},
            ]}}],
        },
    })
    .to_string()
}

async fn create(cluster: &Cluster, namespace: &str, manifests: &str) {
    let arguments = ["create", "-n", namespace, "-f", "-"];
    cluster.kubectl_with_input(&arguments, manifests).await;
}

#[tokio::test]
async fn a_pod_runs_writes_a_log_and_takes_commands() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("pod").await;
    create(cluster, &namespace, &idle_pod("idle")).await;
    cluster.wait_ready(&namespace, "pod/idle").await;

    // It is ready before it has printed anything.
    assert_eventually!(cluster.logs(&namespace, "idle", "app").await == "up\n");
    let python = ["/usr/bin/python3", "-c", "import os; print(os.getuid())"];
    let printed = cluster.exec(&namespace, ("idle", "app"), &python).await;
    assert_eq!(printed, "65532\n");
}

#[tokio::test]
async fn a_service_is_reached_by_name_from_a_pod_and_by_address_from_the_test() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("service").await;
    create(cluster, &namespace, WEB).await;
    create(cluster, &namespace, &idle_pod("client")).await;
    cluster.wait_ready(&namespace, "deployment/web").await;
    cluster.wait_ready(&namespace, "pod/client").await;

    for name in [
        "web".to_owned(),
        format!("web.{namespace}.svc.cluster.local"),
    ] {
        let script =
            format!("import urllib.request as r; print(r.urlopen('http://{name}').read())");
        cluster
            .eventually("the client reaches the service", async |kube| {
                let arguments = [
                    "exec",
                    "-n",
                    &namespace,
                    "client",
                    "--",
                    "/usr/bin/python3",
                    "-c",
                    &script,
                ];
                let printed = kube.try_kubectl(&arguments).await?;
                if printed.contains("web-") {
                    Ok(())
                } else {
                    Err(unexpected(printed))
                }
            })
            .await;
    }

    let address = cluster.service_address(&namespace, "web", 80).await;
    let url = format!("http://{address}/");
    let mut replicas = std::collections::BTreeSet::new();
    for _ in 0..40 {
        replicas.insert(cluster.http().get(&url).await.unwrap().text());
    }
    assert_eq!(replicas.len(), 2, "both replicas serve: {replicas:?}");
}

#[tokio::test]
async fn the_token_in_a_pod_names_the_pod() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("token").await;
    create(cluster, &namespace, &idle_pod("holder")).await;
    cluster.wait_ready(&namespace, "pod/holder").await;

    let python = [
        "/usr/bin/python3",
        "-c",
        "print(open('/token/token').read())",
    ];
    let token = cluster.exec(&namespace, ("holder", "app"), &python).await;
    let status = cluster
        .review_token(token.trim(), &["sentry"])
        .await
        .unwrap();
    assert_eq!(status["authenticated"], true, "{status}");
    let extra = &status["user"]["extra"];
    assert_eq!(
        extra["authentication.kubernetes.io/pod-name"],
        json!(["holder"])
    );
    assert_eq!(
        extra["authentication.kubernetes.io/node-name"],
        json!(["e2e-node"])
    );
}

#[tokio::test]
async fn a_locked_down_redis_answers() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("redis").await;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "redis"},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{
            "name": "redis", "image": "e2e.local/redis:1",
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65532, "readOnlyRootFilesystem": true,
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}},
        }]},
    });
    create(cluster, &namespace, &pod.to_string()).await;
    cluster.wait_ready(&namespace, "pod/redis").await;
    cluster
        .eventually("redis answers", async |kube| {
            let arguments = ["exec", "-n", &namespace, "redis", "--", "redis-cli", "PING"];
            let printed = kube.try_kubectl(&arguments).await?;
            if printed == "PONG\n" {
                Ok(())
            } else {
                Err(unexpected(printed))
            }
        })
        .await;
}

#[tokio::test]
async fn helm_installs_upgrades_and_removes_a_chart() {
    let cluster = cluster().await;
    let chart = StateDir::create("chart");
    std::fs::create_dir(chart.join("templates")).unwrap();
    std::fs::write(
        chart.join("Chart.yaml"),
        "{apiVersion: v2, name: sample, version: 1.0.0, kubeVersion: '>=1.33.0'}",
    )
    .unwrap();
    std::fs::write(chart.join("templates/web.yaml"), WEB).unwrap();
    let path = chart.path().display().to_string();

    let namespace = format!("helm-{}", std::process::id());
    cluster
        .helm_install(&namespace, ("sample", &path), &[])
        .await;
    let web = cluster.get_json(&namespace, "deployment/web").await;
    assert_eq!(web["status"]["readyReplicas"], 2);
    cluster.helm_uninstall(&namespace, "sample").await;
    let gone = cluster
        .try_get_json(&namespace, "deployment/web")
        .await
        .unwrap_err();
    assert!(format!("{gone:#}").contains("NotFound"), "{gone:#}");
}

#[tokio::test]
async fn an_image_can_be_loaded_later() {
    let cluster = cluster().await;
    let namespace = cluster.namespace("image").await;
    let image = images::Image::named("e2e.local/greeting:7")
        .program("/bin/echo", "/echo")
        .unwrap()
        .entrypoint(&["/echo", "hello"]);
    cluster.load(&image).await;
    let arguments = [
        "run",
        "greeting",
        "-n",
        &namespace,
        "--image=e2e.local/greeting:7",
        "--restart=Never",
    ];
    cluster.kubectl(&arguments).await;
    cluster
        .eventually("the pod has greeted", async |kube| {
            let log = kube
                .try_kubectl(&["logs", "-n", &namespace, "greeting"])
                .await?;
            if log == "hello\n" {
                Ok(())
            } else {
                Err(unexpected(log))
            }
        })
        .await;
}
