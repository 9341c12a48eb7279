//! Pods that are created all the time, and connections that are made as an API server makes them.

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Pod};
use kube::{
    Api, Client,
    api::PostParams,
    config::{Config, KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, from_value};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;
use trilby_testkit::Kube;

use crate::{installation::Installation, tls::Webhook};

/// Between two pods: 100 a second.
const CREATE: Duration = Duration::from_millis(10);
/// Between two connections.
const SHAKE: Duration = Duration::from_millis(50);
/// Attempts at the same time, at most: a machine that is too slow makes fewer of them.
const AT_ONCE: usize = 32;
/// Failures that are kept.
const SHOWN: usize = 20;
/// So late may one of several API servers learn what the webhook's `caBundle` is.
const LAG: Duration = Duration::from_secs(1);

/// What became of all attempts.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) count: usize,
    pub(super) failures: Vec<String>,
    /// How many came when the certificate had ended: on a machine that is too busy the next one may come too late,
    /// which says nothing about rotation.
    pub(super) late: usize,
    /// How many different certificates were seen.
    pub(super) certificates: usize,
}

/// The certificate that was seen, if one was, or what failed.
type Attempt = Result<Option<Vec<u8>>, String>;

/// Attempts that are made until it is ended.
pub(super) struct Load {
    stop: CancellationToken,
    running: JoinHandle<Outcome>,
}

impl Load {
    /// Creates this pod over and over, without keeping it.
    pub(super) async fn of_pods(kube: &Kube, pod: Value) -> Self {
        let pod: Pod = from_value(pod).unwrap();
        let namespace = pod.metadata.namespace.clone().unwrap();
        let pods: Api<Pod> = Api::namespaced(client(kube).await, &namespace);
        Self::begin(CREATE, move || create(pods.clone(), pod.clone()))
    }

    /// Connects over and over, trusting what is registered.
    pub(super) async fn of_handshakes(installation: &Installation) -> Self {
        let webhooks = Api::all(client(&installation.api).await);
        let webhook = Webhook::of(installation);
        Self::begin(SHAKE, move || {
            let (webhooks, webhook) = (webhooks.clone(), webhook.clone());
            async move {
                let anchors = registered(&webhooks).await?;
                sleep(LAG).await;
                shake(webhook, &anchors).await
            }
        })
    }

    fn begin<F, A>(pause: Duration, attempt: F) -> Self
    where
        F: Fn() -> A + Send + 'static,
        A: Future<Output = Attempt> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let running = tokio::spawn(run(pause, attempt, stop.clone()));
        Self { stop, running }
    }

    pub(super) async fn end(self) -> Outcome {
        self.stop.cancel();
        self.running.await.unwrap()
    }
}

async fn run<F, A>(pause: Duration, attempt: F, stop: CancellationToken) -> Outcome
where
    F: Fn() -> A,
    A: Future<Output = Attempt> + Send + 'static,
{
    let (mut outcome, mut seen) = (Outcome::default(), BTreeSet::new());
    let mut attempts = JoinSet::new();
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let going = !stop.is_cancelled();
        tokio::select! {
            () = stop.cancelled(), if going => {}
            _ = ticks.tick(), if going && attempts.len() < AT_ONCE => {
                attempts.spawn(attempt());
            }
            Some(done) = attempts.join_next() => {
                outcome.count += 1;
                match done.unwrap() {
                    Ok(certificate) => seen.extend(certificate),
                    Err(failure) if failure.to_lowercase().contains("expired") => outcome.late += 1,
                    Err(failure) if outcome.failures.len() < SHOWN => outcome.failures.push(failure),
                    Err(_one_more) => {}
                }
            }
            else => break,
        }
    }
    outcome.certificates = seen.len();
    outcome
}

async fn create(pods: Api<Pod>, pod: Pod) -> Attempt {
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let pod = pods.create(&dry, &pod).await;
    let spec = pod.map_err(|error| error.to_string())?.spec;
    let containers = spec.map(|spec| spec.containers).unwrap_or_default();
    match containers.iter().any(|container| container.name == "daprd") {
        true => Ok(None),
        false => Err("a pod without sidecar".to_owned()),
    }
}

async fn registered(webhooks: &Api<MutatingWebhookConfiguration>) -> Result<Vec<u8>, String> {
    let found = webhooks.get("dapr-sidecar-injector").await;
    let webhooks = found.map_err(|error| error.to_string())?.webhooks;
    let bundle = webhooks.into_iter().flatten().next();
    let bundle = bundle.and_then(|webhook| webhook.client_config.ca_bundle);
    bundle
        .map(|bundle| bundle.0)
        .ok_or("no caBundle".to_owned())
}

async fn shake(webhook: Webhook, anchors: &[u8]) -> Attempt {
    let connected = webhook.connect(anchors).await;
    let connected = connected.map_err(|error| error.to_string())?;
    let chain = connected.get_ref().1.peer_certificates();
    Ok(chain
        .and_then(|chain| chain.first())
        .map(|leaf| leaf.to_vec()))
}

async fn client(kube: &Kube) -> Client {
    let file = Kubeconfig::read_from(kube.kubeconfig()).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(file, &options).await;
    Client::try_from(config.unwrap()).unwrap()
}
