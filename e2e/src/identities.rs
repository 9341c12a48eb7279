//! Each sidecar has an identity of its own.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};

use crate::evidence::Evidence;
use crate::handshake::{self, INTERNAL_PORT, Presented};
use crate::injection::APPS;
use crate::scene::{SYSTEM, Scene, expect};

/// The trust domain of pods whose Configuration names none.
const TRUST_DOMAIN: &str = "public";
/// The volume of the token that a sidecar shows sentry.
const TOKEN_VOLUME: &str = "dapr-identity-token";

/// A pod whose Configuration names a trust domain of its own.
const GUEST: &str = r#"
apiVersion: v1
kind: Pod
metadata:
  name: guest
  labels:
    app: guest
  annotations:
    dapr.io/enabled: "true"
    dapr.io/app-id: guest
    dapr.io/config: hello
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: guest
    image: trilby.local/python:3
    args: ["-c", "import signal; signal.pause()"]
"#;

/// Asks each sidecar who it is, by a handshake on the port where it listens for others.
///
/// # Errors
/// If one has no certificate of sentry's, another identity than it should, or the certificate of another.
pub async fn show(scene: &Scene) -> Result<Evidence> {
    let anchors = anchors(scene).await?;
    scene.apply(GUEST).await?;
    let mut evidence = Evidence::default();
    let mut serials = BTreeSet::new();
    for (app, _) in APPS {
        for pod in scene.pods(app).await? {
            let audience = pod.audiences.get(TOKEN_VOLUME);
            let audience =
                audience.with_context(|| format!("{} has no token for sentry", pod.name))?;
            let presented = identity(scene, &pod.name, &anchors).await?;
            check(scene, &presented, (TRUST_DOMAIN, app))?;
            evidence.add(format!(
                "{}: {}  serial {}…  until {}  for a token to {audience}",
                pod.name,
                presented.id,
                start(&presented.serial),
                presented.not_after
            ));
            expect(serials.insert(presented.serial), || {
                format!("{} has the certificate of another pod", pod.name)
            })?;
        }
    }
    evidence.add(guest(scene, &anchors).await?);
    Ok(evidence)
}

/// The trust anchors that sentry publishes, PEM.
///
/// # Errors
/// If there are none.
pub async fn anchors(scene: &Scene) -> Result<String> {
    let bundle = "configmap/dapr-trust-bundle";
    let bundle = scene.kube().try_get_json(SYSTEM, bundle).await?;
    let anchors = bundle["data"]["ca.crt"].as_str();
    Ok(anchors
        .context("the trust bundle has no ca.crt")?
        .to_owned())
}

async fn identity(scene: &Scene, pod: &str, anchors: &str) -> Result<Presented> {
    let forward = scene.forward(pod, INTERNAL_PORT).await?;
    let presented = handshake::ask(&forward, anchors).await;
    presented.with_context(|| format!("the sidecar of {pod}"))
}

fn check(scene: &Scene, presented: &Presented, (domain, app): (&str, &str)) -> Result<()> {
    let expected = format!("spiffe://{domain}/ns/{}/{app}", scene.namespace());
    expect(presented.id.as_str() == expected, || {
        format!(
            "a sidecar of {app} is {} instead of {expected}",
            presented.id
        )
    })
}

async fn guest(scene: &Scene, anchors: &str) -> Result<String> {
    let ready = [
        "wait",
        "--for=condition=Ready",
        "pod/guest",
        "--timeout=60s",
    ];
    scene.kubectl(&ready).await?;
    let presented = identity(scene, "guest", anchors).await?;
    check(scene, &presented, ("hello.example", "guest"))?;
    let deletion = ["delete", "pod/guest", "--wait=false"];
    scene.kubectl(&deletion).await?;
    Ok(format!(
        "guest, whose Configuration names a trust domain: {}",
        presented.id
    ))
}

fn start(serial: &str) -> String {
    serial.replace(':', "").chars().take(12).collect()
}
