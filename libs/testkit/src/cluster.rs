//! A one-node Kubernetes that runs pods, for the tests of one process.

use std::net::SocketAddr;
use std::ops::Deref;

use anyhow::{Context as _, Result};

use crate::eventually::eventually;
use crate::http::Client;
use crate::images::Image;
use crate::kube::Kube;
use crate::node::{Lifetime, Node, NodeDir, check_requirements, down, sweep};
use crate::state_dir::StateDir;

const KIND: &str = "node";

/// A running cluster. It derefs to [`Kube`], the administrator's handle on it. Dropped, it is gone without a trace;
/// so it is if the test is killed.
#[derive(Debug)]
pub struct Cluster {
    node: Node,
}

impl Cluster {
    /// Starts one, in about 8 s. Tests that share one keep it in a `OnceCell` of their own, and make a namespace each.
    ///
    /// # Panics
    /// If the machine lacks something (the message says what, and how to get it) or the cluster does not come up.
    pub async fn start() -> Self {
        Self::with_images(&[]).await
    }

    /// Starts one that has these images.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub async fn with_images(images: &[Image]) -> Self {
        Self::try_start(images)
            .await
            .unwrap_or_else(|error| panic!("the cluster did not start: {error:#}"))
    }

    async fn try_start(images: &[Image]) -> Result<Self> {
        check_requirements()?;
        sweep(KIND)?;
        let dir = NodeDir::at(StateDir::vacant(KIND)?)?;
        let say = |step: &str| eprintln!("cluster: {step}");
        match Node::start(dir.clone(), Lifetime::OfStarter, images, &say).await {
            Ok(node) => Ok(Self { node }),
            Err(error) => {
                down(&dir)?;
                Err(error)
            }
        }
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Makes an image known to the cluster, under its name.
    ///
    /// # Panics
    /// If the image cannot be written or read.
    pub async fn load(&self, image: &Image) {
        if let Err(error) = self.node.dir().load(image).await {
            panic!("loading {}: {error:#}", image.name());
        }
    }

    /// Makes HTTP requests as the node would: to pods, to ClusterIPs.
    pub fn http(&self) -> Client {
        Client::within(self.network())
    }

    /// Address of a pod and one of its ports.
    ///
    /// # Panics
    /// If it does not get one in time.
    pub async fn pod_address(&self, namespace: &str, pod: &str, port: u16) -> SocketAddr {
        self.address(namespace, &format!("pod/{pod}"), ("/status/podIP", port))
            .await
    }

    /// Address of a Service with a ClusterIP and one of its ports.
    ///
    /// # Panics
    /// If there is no such Service.
    pub async fn service_address(&self, namespace: &str, service: &str, port: u16) -> SocketAddr {
        self.address(
            namespace,
            &format!("service/{service}"),
            ("/spec/clusterIP", port),
        )
        .await
    }

    async fn address(&self, namespace: &str, what: &str, place: (&str, u16)) -> SocketAddr {
        let (pointer, port) = place;
        eventually(&format!("{what} has an address"), async || {
            let object = self.try_get_json(namespace, what).await?;
            let ip = object.pointer(pointer).and_then(serde_json::Value::as_str);
            let ip = ip.context("it has none")?.parse()?;
            anyhow::Ok(SocketAddr::new(ip, port))
        })
        .await
    }
}

impl Deref for Cluster {
    type Target = Kube;

    fn deref(&self) -> &Kube {
        self.node.kube()
    }
}
