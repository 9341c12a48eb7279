//! All simulated hosts of one server.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use crate::host::{Kind, Stream};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What hosts tell the one who measures.
#[derive(Default)]
pub(crate) struct Shared {
    /// Who has unlocked a table with as many hosts as there shall be.
    settled: Mutex<(usize, HashSet<String>)>,
    all: Notify,
    pub(crate) received: AtomicU64,
    lost: Mutex<Vec<String>>,
}

pub(crate) struct Crowd {
    address: SocketAddr,
    kind: Kind,
    shared: Arc<Shared>,
    hosts: Vec<mpsc::Sender<()>>,
    opened: usize,
}

impl Shared {
    pub(crate) fn unlocked(&self, name: &str, hosts: usize) {
        let mut settled = self.settled.lock();
        if hosts == settled.0 && settled.1.insert(name.to_owned()) && settled.1.len() == hosts {
            self.all.notify_one();
        }
    }

    /// A stream has ended that was to stay.
    pub(crate) fn lose(&self, reason: String) {
        self.lost.lock().push(reason);
    }
}

impl Crowd {
    pub(crate) fn new(address: SocketAddr, kind: Kind) -> Self {
        Self {
            address,
            kind,
            shared: Arc::default(),
            hosts: Vec::new(),
            opened: 0,
        }
    }

    /// So many more hosts, at once; until all have the table that has all.
    pub(crate) async fn join(&mut self, count: usize) {
        self.expect(self.hosts.len() + count);
        for _ in 0..count {
            self.opened += 1;
            let (leave, left) = mpsc::channel(1);
            let (address, number, kind) = (self.address, self.opened, self.kind);
            let shared = Arc::clone(&self.shared);
            self.hosts.push(leave);
            tokio::spawn(async move {
                let stream = Stream::open(address, number, kind).await;
                stream.run(shared, left).await;
            });
        }
        self.settled().await;
    }

    /// One host less; until all others have the table without it.
    pub(crate) async fn leave(&mut self) {
        let leaving = self.hosts.remove(0);
        self.expect(self.hosts.len());
        leaving.send(()).await.unwrap();
        self.settled().await;
    }

    pub(crate) fn received(&self) -> u64 {
        self.shared.received.load(Relaxed)
    }

    pub(crate) fn lost(&self) -> usize {
        self.shared.lost.lock().len()
    }

    fn expect(&self, hosts: usize) {
        *self.shared.settled.lock() = (hosts, HashSet::new());
    }

    async fn settled(&self) {
        let all = tokio::time::timeout(PATIENCE, self.shared.all.notified()).await;
        if all.is_err() {
            let settled = self.shared.settled.lock();
            let lost = self.shared.lost.lock();
            panic!(
                "{} of {} hosts have the table, {} lost their stream, the first: {:?}",
                settled.1.len(),
                settled.0,
                lost.len(),
                lost.first()
            );
        }
    }
}
