//! The test harness: real programs, real servers, a real Kubernetes; all on this machine, all gone afterwards.
//!
//! | what a test needs | where |
//! |---|---|
//! | a Kubernetes API, no nodes, no root, 4 s | [`ApiServer::start`], [`ApiServer::shared`] |
//! | a Kubernetes that runs pods, 8 s, root | [`Cluster::start`], with [`images`] |
//! | our programs as processes | [`services`]: `Sentry`, `Operator`, `Injector`, `Placement`, `Daprd` |
//! | our control plane around a running sentry, with real tokens | [`mesh::Mesh`] |
//! | a Redis | [`servers::redis::Redis`] |
//! | a way to a server that goes silent | [`proxy::Proxy`] |
//! | what `kubectl` and `helm` do | [`Kube`], to which both Kubernetes deref |
//! | to wait | [`eventually()`](eventually::eventually), [`assert_eventually!`] |
//! | machines on a network that can be parted, root | [`lan::Lan`] |
//! | a disk that is soon full, root | [`small_disk::SmallDisk`] |
//! | HTTP | [`http::Client`] |
//! | load at a rate, and its latencies | [`load::OpenLoop`] |
//! | certificates | [`ca::Authority`] |
//! | a port, a directory, a process | [`ports::Port`], [`state_dir::StateDir`], [`process::Process`] |
//!
//! ```no_run
//! # use trilby_testkit::ApiServer;
//! # use trilby_testkit::services::Sentry;
//! # async fn test() {
//! let api = ApiServer::shared().await;
//! let namespace = api.namespace("sentry").await;
//! let mut sentry = Sentry::new().kubernetes(api.kubeconfig(), &namespace);
//! sentry.start().await;
//! api.eventually("the trust bundle is there", async |kube| {
//!     kube.try_get_json(&namespace, "secret/dapr-trust-bundle").await
//! })
//! .await;
//! # }
//! ```
//!
//! ```no_run
//! # use trilby_testkit::{Cluster, images};
//! # async fn test() -> anyhow::Result<()> {
//! let cluster = Cluster::with_images(&[images::redis()?, images::product("sentry", "e2e.local/sentry:1")?]).await;
//! cluster.helm_install("dapr-system", ("dapr", "charts/dapr"), &["--set", "global.registry=e2e.local"]).await;
//! cluster.wait_ready("dapr-system", "deployment/dapr-sentry").await;
//! let sentry = cluster.service_address("dapr-system", "dapr-sentry", 8080).await;
//! cluster.http().get(&format!("http://{sentry}/healthz")).await?.success()?;
//! # Ok(())
//! # }
//! ```
//!
//! The program `testkit-node` is the same cluster from the command line: `up`, `down`, `status`, `kubectl`, `helm`.
//!
//! What a test starts dies with it: processes on drop, and with the test's process however that ends; directories on
//! drop, or at the next start. A requirement that is missing fails the test and says how to get it.
//!
//! `TRILBY_BIN_DIR` names a directory with our programs (default: that of the running build), `TRILBY_K8S_BIN` one with
//! Kubernetes' (default: the cache of `e2e/tools.sh`).

pub mod api_server;
pub mod ca;
pub mod cluster;
mod control_plane;
pub mod eventually;
pub mod http;
pub mod images;
pub mod kube;
pub mod lan;
pub mod load;
pub mod mesh;
pub mod network;
pub mod node;
mod pki;
pub mod ports;
pub mod process;
pub mod programs;
pub mod proxy;
pub mod servers;
pub mod services;
pub mod small_disk;
pub mod state_dir;

pub use api_server::ApiServer;
pub use cluster::Cluster;
pub use eventually::unexpected;
pub use kube::Kube;
