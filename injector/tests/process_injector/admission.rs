//! Pods on their way into a real API server.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use trilby_testkit::Kube;

use crate::installation::{Installation, create};

fn pod(name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]},
    })
}

/// Creates a pod as the administrator and gives it back, as it was admitted.
async fn admitted(installation: &Installation, name: &str, annotations: &Value) -> Value {
    let kube: &Kube = &installation.api;
    let namespace = kube.namespace("admitted").await;
    let mut pod = pod(name, annotations);
    pod["metadata"]["namespace"] = json!(namespace);
    kube.apply(&pod.to_string()).await;
    kube.get_json(&namespace, &format!("pod/{name}")).await
}

/// What `kubectl create` says of a pod that is refused or admitted with warnings.
async fn complaint(kube: &Kube, installation: &Installation, pod: &Value) -> String {
    let name = pod["metadata"]["name"].as_str().unwrap();
    let file = installation
        .injector
        .file(&format!("{name}.json"), &pod.to_string());
    let error = create(kube, &file).await.expect_err("kubectl complains");
    format!("{error:#}")
}

fn container<'a>(pod: &'a Value, name: &str) -> Option<&'a Value> {
    let containers = pod["spec"]["containers"].as_array()?;
    containers
        .iter()
        .find(|container| container["name"] == name)
}

fn variable(env: &Value, name: &str) -> String {
    let variables = env.as_array().into_iter().flatten();
    let mut named = variables.filter(|variable| variable["name"] == name);
    let variable = named.next().expect("the container has the variable");
    variable["value"].as_str().unwrap().to_owned()
}

fn args(pod: &Value) -> Vec<String> {
    let sidecar = container(pod, "daprd").expect("the pod has a sidecar");
    serde_json::from_value(sidecar["args"].clone()).unwrap()
}

/// The first pod of a Deployment of this pod template.
async fn pod_of_deployment(kube: &Kube, namespace: &str, mut template: Value) -> Value {
    template["metadata"]["labels"] = json!({"app": "app"});
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "app", "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": {"app": "app"}},
            "template": {"metadata": template["metadata"], "spec": template["spec"]},
        },
    });
    kube.apply(&deployment.to_string()).await;
    kube.eventually("the Deployment has a pod", async |kube| {
        let pods = kube.try_get_json(namespace, "pods").await?;
        let pod = pods["items"].get(0).context("there is no pod")?;
        Ok(pod.clone())
    })
    .await
}

#[tokio::test]
async fn a_deployments_pods_get_a_sidecar() {
    let installation = Installation::shared().await;
    let kube: &Kube = &installation.api;
    let namespace = kube.namespace("shop").await;
    let annotations = json!({
        "dapr.io/enabled": "true", "dapr.io/app-id": "checkout", "dapr.io/app-port": "8080",
    });
    let pod = pod_of_deployment(kube, &namespace, pod("", &annotations)).await;

    let args = args(&pod);
    for pair in [
        ["--app-id", "checkout"],
        ["--app-port", "8080"],
        ["--mode", "kubernetes"],
    ] {
        let found = args.windows(2).any(|window| window == pair);
        assert!(found, "{pair:?} is not in {args:?}");
    }
    let labels = &pod["metadata"]["labels"];
    assert_eq!(labels["dapr.io/sidecar-injected"], "true");
    let sidecar = &container(&pod, "daprd").unwrap()["env"];
    assert_eq!(variable(sidecar, "NAMESPACE"), namespace);
    let anchors = variable(sidecar, "DAPR_TRUST_ANCHORS");
    assert_eq!(anchors.trim(), installation.anchors().trim());
    let app = &container(&pod, "app").unwrap()["env"];
    assert_eq!(variable(app, "DAPR_HTTP_PORT"), "3500");
    assert_eq!(variable(app, "DAPR_GRPC_PORT"), "50001");
    let metrics = installation.injector.metrics().await;
    let counted = "dapr_injector_sidecar_injection_succeeded_total{app_id=\"checkout\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn the_api_server_accepts_every_kind_of_sidecar() {
    let installation = Installation::shared().await;
    let every = json!({
        "dapr.io/enabled": "true",
        "dapr.io/app-id": "every",
        "dapr.io/api-token-secret": "s",
        "dapr.io/app-token-secret": "s",
        "dapr.io/enable-debug": "true",
        "dapr.io/env": "A=1",
        "dapr.io/env-from-secret": "B=s:k",
        "dapr.io/sidecar-cpu-limit": "500m",
        "dapr.io/sidecar-memory-request": "32Mi",
        "dapr.io/sidecar-seccomp-profile-type": "RuntimeDefault",
        "dapr.io/unix-domain-socket-path": "/sockets",
    });
    let pod = admitted(installation, "every", &every).await;
    let sidecar = container(&pod, "daprd").unwrap();
    assert_eq!(sidecar["ports"].as_array().unwrap().len(), 4);
    assert_eq!(args(&pod)[0], "/daprd");

    let native = json!({"dapr.io/enabled": "true", "dapr.io/enable-native-sidecar": "true"});
    let pod = admitted(installation, "native", &native).await;
    assert_eq!(pod["spec"]["initContainers"][0]["name"], "daprd");
    assert_eq!(pod["spec"]["initContainers"][0]["restartPolicy"], "Always");
    assert_eq!(pod["metadata"]["labels"]["dapr.io/app-id"], "native");
}

#[tokio::test]
async fn pods_that_do_not_ask_stay_as_they_are() {
    let installation = Installation::shared().await;
    for annotations in [json!({}), json!({"dapr.io/enabled": "false"})] {
        let pod = admitted(installation, "plain", &annotations).await;
        assert!(container(&pod, "daprd").is_none());
        assert_eq!(pod["metadata"].get("labels"), None);
    }
}

#[tokio::test]
async fn a_bad_app_id_is_refused_with_the_reason() {
    let installation = Installation::shared().await;
    let pod = pod(
        "bad-id",
        &json!({"dapr.io/enabled": "true", "dapr.io/app-id": "Not_Valid"}),
    );
    let complaint = complaint(&installation.api, installation, &pod).await;
    let reason = "invalid app id (input: 'Not_Valid', service: 'Not_Valid-dapr'): a lowercase RFC 1123 label";
    assert!(complaint.contains(reason), "{complaint}");
    assert!(
        complaint.contains("sidecar-injector.dapr.io"),
        "{complaint}"
    );
}

#[tokio::test]
async fn a_bad_number_is_admitted_with_the_reason_as_a_warning() {
    let installation = Installation::shared().await;
    let pod = pod(
        "bad-number",
        &json!({"dapr.io/enabled": "true", "dapr.io/app-port": "eighty"}),
    );
    let complaint = complaint(&installation.api, installation, &pod).await;
    let reason = "dapr.io/app-port: \"eighty\" is not a number it can take; ignored";
    assert!(complaint.contains(reason), "{complaint}");
    let pod = installation.api.get_json("default", "pod/bad-number").await;
    assert!(!args(&pod).contains(&"--app-port".to_owned()));
}

#[tokio::test]
async fn an_account_that_may_not_gets_its_pod_without_sidecar_and_the_reason_as_a_warning() {
    let installation = Installation::shared().await;
    let kube: &Kube = &installation.api;
    let namespace = kube.namespace("unlisted").await;
    let binding = [
        "create",
        "rolebinding",
        "edit",
        "--clusterrole=edit",
        "-n",
        &namespace,
    ];
    let subject = format!("--serviceaccount={namespace}:default");
    kube.kubectl(&[&binding[..], &[&subject]].concat()).await;
    let account = kube.acting_as(&namespace, "default").await;
    let mut pod = pod("unlisted", &json!({"dapr.io/enabled": "true"}));
    pod["metadata"]["namespace"] = json!(namespace);
    let complaint = complaint(&account, installation, &pod).await;
    let reason = format!(
        "no sidecar was injected: system:serviceaccount:{namespace}:default is not allowed"
    );
    assert!(complaint.contains(&reason), "{complaint}");
    let pod = kube.get_json(&namespace, "pod/unlisted").await;
    assert!(container(&pod, "daprd").is_none());
    let api = &installation.api;
    api.eventually("the audit log has the reason", async |_| {
        let noted = api.audit_annotations("sidecar-injector.dapr.io/passed-over");
        ensure!(noted.iter().any(|text| text.contains(&reason)), "{noted:?}");
        Ok(())
    })
    .await;
    let event = event(kube, &namespace, "SidecarNotInjected").await;
    assert_eq!(event["regarding"]["name"], "unlisted");
    assert!(event["note"].as_str().unwrap().contains(&reason), "{event}");
}

/// The first Event with this reason in the namespace.
async fn event(kube: &Kube, namespace: &str, reason: &str) -> Value {
    kube.eventually(&format!("there is an Event {reason}"), async |kube| {
        let events = kube.try_get_json(namespace, "events.events.k8s.io").await?;
        let events = events["items"].as_array().context("no list")?;
        let found = events.iter().find(|event| event["reason"] == reason);
        found.cloned().context("it is not there")
    })
    .await
}

#[tokio::test]
async fn a_refused_pod_of_a_deployment_is_told_on_its_replica_set() {
    let installation = Installation::shared().await;
    let kube: &Kube = &installation.api;
    let namespace = kube.namespace("refused").await;
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "app", "namespace": namespace},
        "spec": {"selector": {"matchLabels": {"app": "app"}}, "template": {
            "metadata": {"labels": {"app": "app"}, "annotations": {"dapr.io/enabled": "true"}},
            "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]},
        }},
    });
    kube.apply(&deployment.to_string()).await;
    let event = event(kube, &namespace, "SidecarRefused").await;
    assert_eq!(event["regarding"]["kind"], "ReplicaSet");
    let note = event["note"].as_str().unwrap();
    assert!(note.contains("dapr.io/app-id"), "{note}");
}

#[tokio::test]
async fn components_bring_their_containers() {
    let installation = Installation::shared().await;
    let kube: &Kube = &installation.api;
    let namespace = kube.namespace("components").await;
    let component = json!({
        "apiVersion": "dapr.io/v1alpha1", "kind": "Component",
        "metadata": {"name": "store", "namespace": namespace, "annotations": {
            "dapr.io/component-container": "{\"image\": \"registry.example/store:1\"}",
        }},
        "spec": {"type": "state.mine", "version": "v1", "metadata": []},
        "scopes": ["asks"],
    });
    kube.apply(&component.to_string()).await;
    let annotations = json!({"dapr.io/enabled": "true", "dapr.io/app-id": "asks",
        "dapr.io/inject-pluggable-components": "true"});
    kube.eventually("a pod gets the container of the Component", async |kube| {
        let mut pod = pod("", &annotations);
        pod["metadata"] = json!({"generateName": "asks-", "annotations": annotations});
        let file = installation.injector.file("asks.json", &pod.to_string());
        let file = file.display().to_string();
        let made = kube
            .try_kubectl(&["create", "-n", &namespace, "-o", "json", "-f", &file])
            .await?;
        let made: Value = serde_json::from_str(&made)?;
        let store = container(&made, "store").context("it is not known yet")?;
        ensure!(store["image"] == "registry.example/store:1", "{store}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_hardened_sidecar_is_let_into_a_restricted_namespace() {
    let installation = Installation::shared().await;
    let kube: &Kube = &installation.api;
    let namespace = kube.namespace("restricted").await;
    let label = "pod-security.kubernetes.io/enforce=restricted";
    kube.kubectl(&["label", "namespace", &namespace, label])
        .await;
    let create = async |profile: &str| {
        let mut pod = pod(
            profile,
            &json!({"dapr.io/enabled": "true", "dapr.io/sidecar-profile": profile}),
        );
        pod["metadata"]["namespace"] = json!(namespace);
        pod["spec"]["containers"][0]["securityContext"] = json!({
            "allowPrivilegeEscalation": false, "runAsNonRoot": true,
            "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
        });
        kube.try_apply(&pod.to_string()).await
    };
    let refused = create("default").await.expect_err("it is not restricted");
    assert!(
        format!("{refused:#}").contains("violates PodSecurity"),
        "{refused:#}"
    );
    create("hardened").await.expect("it is restricted");
    let pod = kube.get_json(&namespace, "pod/hardened").await;
    let first = &pod["spec"]["initContainers"][0];
    assert_eq!(first["name"], "daprd");
    assert_eq!(first["startupProbe"]["failureThreshold"], 120);
}

#[tokio::test]
async fn mtls_follows_the_system_configuration() {
    let installation = Installation::running(crate::installation::Rights::Full).await;
    let on = async |on: bool| {
        let configuration = json!({
            "apiVersion": "dapr.io/v1alpha1",
            "kind": "Configuration",
            "metadata": {"name": "daprsystem", "namespace": installation.namespace},
            "spec": {"mtls": {
                "enabled": on, "sentryAddress": "sentry:443", "controlPlaneTrustDomain": "cluster.local",
            }},
        });
        installation.api.apply(&configuration.to_string()).await;
        let what = format!("new sidecars have mTLS {on}");
        let asks = json!({"dapr.io/enabled": "true"});
        installation
            .api
            .eventually(&what, async |_| {
                let pod = admitted(&installation, "mtls", &asks).await;
                let enabled = args(&pod).contains(&"--enable-mtls".to_owned());
                ensure!(enabled == on, "not yet");
                Ok(())
            })
            .await;
    };
    on(false).await;
    on(true).await;
}
