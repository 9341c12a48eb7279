//! Every line that the demo shows holds on a real Kubernetes.

use trilby_e2e::images::{self, DEFAULT_REGISTRY};
use trilby_e2e::path::STEPS;
use trilby_e2e::scene::Scene;
use trilby_testkit::Cluster;

/// One test, because each line goes on from where the one before left the cluster.
#[tokio::test]
async fn every_line_of_the_demo_holds() {
    let images = images::all(DEFAULT_REGISTRY).unwrap_or_else(|error| panic!("{error:#}"));
    let cluster = Cluster::with_images(&images).await;
    let scene = Scene::new(Clone::clone(&cluster), "default", DEFAULT_REGISTRY);
    for (number, step) in STEPS.iter().enumerate() {
        println!("{} {}", number + 1, step.title);
        match step.show(&scene).await {
            Ok(evidence) => println!("  {}", evidence.lines().join("\n  ")),
            Err(error) => panic!(
                "line {} ({}): {error:#}\n{}",
                number + 1,
                step.title,
                sidecar_logs(&scene).await
            ),
        }
    }
    subscriptions_are_converted(&scene).await;
}

/// The API server reaches the operator's webhook as the chart set it up.
async fn subscriptions_are_converted(scene: &Scene) {
    let manifest = "apiVersion: dapr.io/v1alpha1\nkind: Subscription\nmetadata: {name: converted}\n\
                    spec: {pubsubname: bus, topic: orders, route: /orders}\n";
    let (kube, namespace) = (scene.kube(), scene.namespace());
    let arguments = ["apply", "-n", namespace, "-f", "-"];
    kube.eventually("a Subscription of v1alpha1 is accepted", async |kube| {
        kube.try_kubectl_with_input(&arguments, manifest).await
    })
    .await;
    let what = "subscriptions.v2alpha1.dapr.io/converted";
    let newer = kube.get_json(namespace, what).await;
    assert_eq!(newer["spec"]["routes"]["default"], "/orders", "{newer}");
}

/// What the sidecars and the control plane wrote last.
async fn sidecar_logs(scene: &Scene) -> String {
    let mut text = String::new();
    let sources = [
        (scene.namespace(), "app in (caller,greeter)", "daprd"),
        ("dapr-system", "app.kubernetes.io/part-of=dapr", ""),
    ];
    for (namespace, selector, container) in sources {
        let mut arguments = vec![
            "logs",
            "-n",
            namespace,
            "-l",
            selector,
            "--prefix",
            "--tail=15",
        ];
        if !container.is_empty() {
            arguments.extend(["-c", container]);
        }
        let logs = scene.kube().try_kubectl(&arguments).await;
        text.push_str(&logs.unwrap_or_else(|error| format!("{error:#}")));
    }
    text
}
