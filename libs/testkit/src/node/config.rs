//! The files that a node starts from: keys, configurations, images.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::layout::{ADDRESS, API_SERVICE, CONTAINERD, DNS_SERVICE, NAME, NodeDir, POD_RANGE};
use crate::images;
use crate::pki::Pki;

/// The name server's objects.
pub(super) const COREDNS: &str = include_str!("coredns.yaml");

const DIRECTORIES: &[&str] = &[
    "config", "etc/cni", "images", "log", "opt", "sysctl", "tmp", "var-lib", "var-log",
];

/// Writes everything a node needs before it can start.
pub(super) fn write(dir: &NodeDir) -> Result<()> {
    for name in DIRECTORIES {
        let path = dir.join(name);
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
    }
    keys(dir)?;
    file(dir, "config/kubelet.json", &kubelet(dir).to_string())?;
    file(dir, "config/kube-proxy.json", &kube_proxy(dir).to_string())?;
    file(dir, "config/containerd.toml", &containerd(dir))?;
    // Nothing of the machine's own name servers reaches a pod.
    file(dir, "config/resolv.conf", "")?;
    file(dir, "etc/cni/10-e2e.conflist", &network().to_string())?;
    images::pause()?.write(&dir.images().join("pause.tar"))?;
    images::coredns()?.write(&dir.images().join("coredns.tar"))
}

fn file(dir: &NodeDir, name: &str, content: &str) -> Result<()> {
    fs::write(dir.join(name), content).with_context(|| dir.join(name).display().to_string())
}

fn keys(dir: &NodeDir) -> Result<()> {
    let address = ADDRESS.to_string();
    let server = "https://127.0.0.1:6443";
    let pki = Pki::write(&dir.join("pki"), server, &[API_SERVICE, &address])?;
    pki.server("kubelet", &[NAME, &address])?;
    pki.client(
        "kubelet-client",
        "kube-apiserver-kubelet-client",
        Some("system:masters"),
    )?;
    pki.kubeconfig(
        "kubelet",
        &format!("system:node:{NAME}"),
        Some("system:nodes"),
    )?;
    pki.kubeconfig("kube-proxy", "system:kube-proxy", None)
}

fn kubelet(dir: &NodeDir) -> Value {
    let pki = |name: &str| path(&dir.join("pki").join(name));
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        // 1.35 refuses version 1 unless told not to.
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": "/",
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD}"),
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "resolvConf": path(&dir.join("config/resolv.conf")),
        "address": "0.0.0.0",
        "healthzPort": 0,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": pki("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": pki("kubelet.crt"),
        "tlsPrivateKeyFile": pki("kubelet.key"),
        "failSwapOn": false,
        // The default, -999, needs a capability that a container may lack.
        "oomScoreAdj": 0,
        // Compare the machine's sysctls, never set them.
        "protectKernelDefaults": true,
        "localStorageCapacityIsolation": false,
        "imageGCHighThresholdPercent": 100,
        // A full disk is the machine's business.
        "evictionHard": {
            "imagefs.available": "0%", "nodefs.available": "0%",
            "nodefs.inodesFree": "0%", "memory.available": "0%",
        },
        "nodeStatusUpdateFrequency": "4s",
        // A container that fails is tried again every second instead of after 10, 20, 40.
        "crashLoopBackOff": {"maxContainerRestartPeriod": "1s"},
    })
}

/// The settings of conntrack are left alone: in a network namespace they are read-only, and kube-proxy dies of that.
fn kube_proxy(dir: &NodeDir) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": path(&dir.join("pki/kube-proxy.kubeconfig"))},
        "clusterCIDR": "10.244.0.0/16",
        "oomScoreAdj": 0,
        "conntrack": {
            "maxPerCore": 0, "min": 0,
            "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s",
        },
    })
}

/// `restrict_oom_score_adj`: runc may lack the capability to protect a sandbox from the kernel, and would fail.
fn containerd(dir: &NodeDir) -> String {
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
  address = "{CONTAINERD}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{opt}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "e2e.local/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        BinaryName = "/usr/sbin/runc"
"#,
        opt = path(&dir.join("opt")),
        cni = path(&dir.join("etc/cni")),
    )
}

fn network() -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "e2e",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                "ipMasq": false,
                // A pod may reach itself through its own Service.
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": POD_RANGE}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
