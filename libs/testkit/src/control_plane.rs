//! The command lines of etcd and of Kubernetes' control plane, the same for a bare API server and for a whole node.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

/// Addresses of ClusterIP services.
pub(crate) const SERVICE_RANGE: &str = "10.96.0.0/16";
const SERVICE_RANGE_V6: &str = "fd00:96::/112";
/// What the tokens of service accounts name as their issuer.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// What the daemons of one control plane must know of each other.
#[derive(Clone, Debug)]
pub(crate) struct ControlPlane {
    /// Directory of keys and kubeconfig files, see [`crate::pki`].
    pub(crate) pki: PathBuf,
    /// Directory for etcd's data.
    pub(crate) data: PathBuf,
    pub(crate) etcd_port: u16,
    pub(crate) etcd_peer_port: u16,
    pub(crate) controller_manager_port: u16,
    pub(crate) scheduler_port: u16,
    pub(crate) api: ApiAddress,
}

/// Where the API server listens and what it tells others of that.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ApiAddress {
    /// On loopback, for processes of this machine; no pod will ever reach it.
    Loopback { port: u16 },
    /// On every address of a node, which pods reach as this one.
    Node { advertised: SocketAddrV4 },
}

impl ApiAddress {
    /// Addresses of ClusterIP services. The network of a node has no IPv6; where nothing runs, both families are there.
    fn service_range(self) -> String {
        match self {
            Self::Loopback { .. } => format!("{SERVICE_RANGE},{SERVICE_RANGE_V6}"),
            Self::Node { .. } => SERVICE_RANGE.to_owned(),
        }
    }
}

/// One program to start.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    pub(crate) program: &'static str,
    pub(crate) arguments: Vec<String>,
}

impl Daemon {
    pub(crate) fn new(program: &'static str, arguments: Vec<String>) -> Self {
        Self { program, arguments }
    }
}

impl ControlPlane {
    /// The data is thrown away, so it is not synced to the disk.
    pub(crate) fn etcd(&self) -> Daemon {
        let client = format!("http://127.0.0.1:{}", self.etcd_port);
        let peer = format!("http://127.0.0.1:{}", self.etcd_peer_port);
        Daemon::new(
            "etcd",
            vec![
                "--name=e2e".to_owned(),
                format!("--data-dir={}", self.data.display()),
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--initial-cluster=e2e={peer}"),
                "--unsafe-no-fsync".to_owned(),
                "--log-level=warn".to_owned(),
            ],
        )
    }

    pub(crate) fn api_server(&self) -> Daemon {
        let mut arguments = vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            format!("--service-cluster-ip-range={}", self.api.service_range()),
            format!("--service-account-issuer={ISSUER}"),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--enable-admission-plugins=NodeRestriction".to_owned(),
            file("tls-cert-file", &self.pki, "apiserver.crt"),
            file("tls-private-key-file", &self.pki, "apiserver.key"),
            file("client-ca-file", &self.pki, "ca.crt"),
            file("service-account-key-file", &self.pki, "sa.pub"),
            file("service-account-signing-key-file", &self.pki, "sa.key"),
        ];
        arguments.extend(match self.api {
            ApiAddress::Loopback { port } => loopback_arguments(port),
            ApiAddress::Node { advertised } => node_arguments(advertised, &self.pki),
        });
        Daemon::new("kube-apiserver", arguments)
    }

    /// The default rate of 20 calls a second delays the first service accounts by 5 s.
    pub(crate) fn controller_manager(&self) -> Daemon {
        let mut arguments = vec![
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.controller_manager_port),
            file("kubeconfig", &self.pki, "controller-manager.kubeconfig"),
            file("service-account-private-key-file", &self.pki, "sa.key"),
            file("root-ca-file", &self.pki, "ca.crt"),
            "--use-service-account-credentials".to_owned(),
            "--leader-elect=false".to_owned(),
            "--kube-api-qps=500".to_owned(),
            "--kube-api-burst=1000".to_owned(),
        ];
        if let ApiAddress::Node { .. } = self.api {
            // The pods' addresses come from the CNI plugin's own range.
            arguments.push("--cluster-cidr=10.244.0.0/16".to_owned());
            arguments.push("--allocate-node-cidrs=false".to_owned());
        }
        Daemon::new("kube-controller-manager", arguments)
    }

    pub(crate) fn scheduler(&self) -> Daemon {
        Daemon::new(
            "kube-scheduler",
            vec![
                "--bind-address=127.0.0.1".to_owned(),
                format!("--secure-port={}", self.scheduler_port),
                file("kubeconfig", &self.pki, "scheduler.kubeconfig"),
                "--leader-elect=false".to_owned(),
            ],
        )
    }
}

/// A loopback address may not stand in Endpoints, so nothing is published; without an advertised address the server
/// would take one of the machine's interfaces.
fn loopback_arguments(port: u16) -> Vec<String> {
    vec![
        format!("--bind-address={}", Ipv4Addr::LOCALHOST),
        format!("--advertise-address={}", Ipv4Addr::LOCALHOST),
        format!("--secure-port={port}"),
        "--endpoint-reconciler-type=none".to_owned(),
    ]
}

fn node_arguments(advertised: SocketAddrV4, pki: &Path) -> Vec<String> {
    vec![
        format!("--bind-address={}", Ipv4Addr::UNSPECIFIED),
        format!("--advertise-address={}", advertised.ip()),
        format!("--secure-port={}", advertised.port()),
        "--allow-privileged=true".to_owned(),
        file("kubelet-client-certificate", pki, "kubelet-client.crt"),
        file("kubelet-client-key", pki, "kubelet-client.key"),
        file("kubelet-certificate-authority", pki, "ca.crt"),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
    ]
}

fn file(flag: &str, dir: &Path, name: &str) -> String {
    format!("--{flag}={}", dir.join(name).display())
}
