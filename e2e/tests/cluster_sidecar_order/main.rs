//! In which order an app and its sidecar start and stop on a real node, by the statuses of their containers and by what
//! the app itself saw.

mod pod;

use serde_json::{Map, Value, json};
use trilby_e2e::images::{self, DEFAULT_REGISTRY};
use trilby_e2e::installation;
use trilby_e2e::scene::Scene;
use trilby_testkit::Cluster;

use self::pod::Ended;

/// The installation's sidecars are native ones unless a pod says otherwise.
const VALUES: &[&str] = &["dapr_sidecar_injector.nativeSidecar=true"];
/// A container beside the app, as upstream's sidecars are by default.
const CLASSIC: (&str, &[(&str, &str)]) = ("classic", &[("enable-native-sidecar", "false")]);
/// The same, told to serve until the app is unhealthy.
const BLOCKING: (&str, &[(&str, &str)]) = (
    "blocking",
    &[
        ("enable-native-sidecar", "false"),
        ("block-shutdown-duration", "60s"),
        ("enable-app-health-check", "true"),
        ("app-health-probe-interval", "3"),
        // Milliseconds; a busy machine is no unhealthy app.
        ("app-health-probe-timeout", "2500"),
        ("app-health-threshold", "2"),
    ],
);
const NATIVE: (&str, &[(&str, &str)]) = ("native", &[]);
const HARDENED: (&str, &[(&str, &str)]) = ("hardened", &[("sidecar-profile", "hardened")]);

const STORE: &str = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: order}\n\
                     spec: {type: state.in-memory, version: v1, metadata: []}\n";

/// A pod of the app. Its finalizer keeps what became of its containers readable.
fn manifest((name, annotations): (&str, &[(&str, &str)])) -> Value {
    let mut all = Map::new();
    let common = [
        ("enabled", "true"),
        ("app-id", name),
        ("app-port", "6000"),
        ("graceful-shutdown-seconds", "60"),
    ];
    for (key, value) in common.iter().chain(annotations) {
        all.insert(format!("dapr.io/{key}"), json!(value));
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "annotations": all, "finalizers": ["trilby.dev/kept-to-be-looked-at"]},
        "spec": {
            "terminationGracePeriodSeconds": 120,
            "containers": [{
                "name": "app", "image": format!("{DEFAULT_REGISTRY}/python:3"),
                "args": ["-c", include_str!("app.py")],
                "env": [{"name": "NAME", "value": name}],
                "readinessProbe": {"httpGet": {"path": "/ready", "port": 6000}, "periodSeconds": 1, "timeoutSeconds": 5},
            }],
        },
    })
}

/// Open calls are answered, and neither is killed or started again.
fn ended_in_peace(pod: &Ended) {
    assert_eq!((pod.app.exit_code, pod.app.restarts), (0, 0), "{pod:?}");
    let sidecar = &pod.sidecar;
    assert_eq!((sidecar.exit_code, sidecar.restarts), (0, 0), "{pod:?}");
    assert_eq!(pod.told.open, 200, "{pod:?}");
}

/// Whatever the app asked of its sidecar after SIGTERM was answered, and the sidecar ended after it.
fn served_to_the_end(pod: &Ended) {
    let answered = |status: &Value| *status == 204;
    assert!(!pod.told.last.is_empty(), "{pod:?}");
    assert!(pod.told.last.iter().all(answered), "{pod:?}");
    assert!(pod.sidecar.finished >= pod.app.finished, "{pod:?}");
}

/// One test, because most of its time is waiting for the four pods, which wait together.
#[tokio::test]
async fn sidecars_start_and_stop_when_their_kind_promises() {
    let images = images::all(DEFAULT_REGISTRY).unwrap_or_else(|error| panic!("{error:#}"));
    let cluster = Cluster::with_images(&images).await;
    let scene = Scene::new(Clone::clone(&cluster), "default", DEFAULT_REGISTRY);
    let installed = async {
        installation::install(&scene, VALUES).await?;
        installation::webhook_answers(&scene).await
    };
    installed.await.unwrap_or_else(|error| panic!("{error:#}"));
    cluster.apply(STORE).await;

    let pods = [CLASSIC, BLOCKING, NATIVE, HARDENED];
    for pod in pods {
        cluster.apply(&manifest(pod).to_string()).await;
    }
    for (name, _) in pods {
        cluster.wait_ready("default", &format!("pod/{name}")).await;
    }
    let names = pods.map(|(name, _)| name);
    let delete = [&["delete", "pod", "--wait=false"], &names[..]].concat();
    cluster.kubectl(&delete).await;
    let mut ended = Vec::new();
    for name in names {
        ended.push(pod::ended(&cluster, name).await);
    }
    ended.iter().for_each(ended_in_peace);

    let [classic, blocking, native, hardened] = &ended[..] else {
        panic!("four pods: {ended:?}");
    };
    assert!(!classic.is_native && !blocking.is_native, "{ended:?}");
    assert!(native.is_native && hardened.is_native, "{ended:?}");
    [blocking, native, hardened]
        .into_iter()
        .for_each(served_to_the_end);
    for pod in [native, hardened] {
        assert!(pod.app.started >= pod.sidecar.started, "{pod:?}");
    }
    assert_eq!(hardened.told.first, 204, "{hardened:?}");
}
