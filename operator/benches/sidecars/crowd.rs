//! All simulated sidecars of one operator.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, timeout},
};
use trilby_identity::Expect;

use crate::{
    authority::TRUST_DOMAIN,
    scene::Scene,
    setting,
    sidecar::{LIST_EVERY, Sidecar},
};

/// Sidecars of one app.
const REPLICAS: usize = 10;
/// Connections from one address, of which each has some 28,000 ports.
const PER_ADDRESS: usize = 5_000;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// What sidecars tell the one who measures.
pub(crate) struct Shared {
    ready: AtomicUsize,
    lost: AtomicUsize,
    told: Mutex<(Instant, Vec<Duration>)>,
    progress: Notify,
    anew: watch::Sender<()>,
}

pub(crate) struct Crowd {
    shared: Arc<Shared>,
    count: usize,
    _sidecars: JoinSet<()>,
}

impl Shared {
    fn new() -> Self {
        Self {
            ready: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
            told: Mutex::new((Instant::now(), Vec::new())),
            progress: Notify::new(),
            anew: watch::Sender::new(()),
        }
    }

    /// A sidecar has its streams and its lists.
    pub(crate) fn ready(&self) {
        self.ready.fetch_add(1, Relaxed);
        self.progress.notify_one();
    }

    /// A sidecar lost its connection, or got none.
    pub(crate) fn lost(&self) {
        self.lost.fetch_add(1, Relaxed);
    }

    /// A sidecar was told of a component.
    pub(crate) fn told(&self) {
        let mut told = self.told.lock();
        let after = told.0.elapsed();
        told.1.push(after);
        drop(told);
        self.progress.notify_one();
    }

    /// When all are to connect anew.
    pub(crate) fn anew(&self) -> watch::Receiver<()> {
        self.anew.subscribe()
    }

    async fn until(&self, what: &str, done: impl Fn() -> bool) {
        let all = async {
            while !done() {
                self.progress.notified().await;
            }
        };
        if timeout(PATIENCE, all).await.is_err() {
            let (ready, told) = (self.ready.load(Relaxed), self.told.lock().1.len());
            let lost = self.lost.load(Relaxed);
            panic!("{what}: {ready} connected, {told} told, {lost} lost");
        }
    }
}

impl Crowd {
    /// So many sidecars connect at once; until all have.
    pub(crate) async fn join(scene: &Scene, count: usize) -> Self {
        let shared = Arc::new(Shared::new());
        let operator = format!("spiffe://{TRUST_DOMAIN}/ns/{}/dapr-operator", scene.system);
        let operator = Expect::Exact(operator.parse().unwrap());
        let mut sidecars = JoinSet::new();
        for app in 0..count.div_ceil(REPLICAS) {
            let id = format!("spiffe://public/ns/{}/app-{app}", scene.shop);
            let tls = scene.authority.identity(&id).client_tls(operator.clone());
            let mut tls = rustls::ClientConfig::clone(&tls);
            tls.alpn_protocols = vec![b"h2".to_vec()];
            let tls = Arc::new(tls);
            for number in (app * REPLICAS..count).take(REPLICAS) {
                let sidecar = Sidecar {
                    server: scene.operator.grpc_address(),
                    source: Ipv4Addr::from_bits(
                        Ipv4Addr::LOCALHOST.to_bits()
                            + 1
                            + u32::try_from(number / PER_ADDRESS).unwrap(),
                    ),
                    tls: Arc::clone(&tls),
                    namespace: scene.shop.clone(),
                    phase: LIST_EVERY.mul_f64(fraction(number, count)),
                    pings: setting("PINGS", 1) == 1,
                    shared: Arc::clone(&shared),
                };
                sidecars.spawn(sidecar.live());
            }
        }
        let crowd = Self {
            shared,
            count,
            _sidecars: sidecars,
        };
        crowd.all_ready().await;
        crowd
    }

    /// All lose their connections and come back; until all have.
    pub(crate) async fn come_back(&self) {
        self.shared.ready.store(0, Relaxed);
        self.shared.anew.send_replace(());
        self.all_ready().await;
    }

    /// From now on the time is counted until sidecars are told of a component.
    pub(crate) fn expect(&self) {
        *self.shared.told.lock() = (Instant::now(), Vec::with_capacity(self.count));
    }

    /// When each sidecar was told.
    pub(crate) async fn all_told(&self) -> Vec<Duration> {
        let told = || self.shared.told.lock().1.len() >= self.count;
        self.shared.until("being told", told).await;
        std::mem::take(&mut self.shared.told.lock().1)
    }

    pub(crate) fn lost(&self) -> usize {
        self.shared.lost.load(Relaxed)
    }

    async fn all_ready(&self) {
        let ready = || self.shared.ready.load(Relaxed) >= self.count;
        self.shared.until("connecting", ready).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn fraction(number: usize, count: usize) -> f64 {
    number as f64 / count as f64
}
