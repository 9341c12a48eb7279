//! The keys, certificates and kubeconfig files of one Kubernetes, written into a directory.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::ca::{Authority, Credential, signing_key};

/// Names that a client inside a cluster uses for the API server.
const API_SERVER_NAMES: &[&str] = &[
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "127.0.0.1",
];

/// Writes one Kubernetes' keys and certificates, `<name>.crt` with `<name>.key`, and kubeconfig files.
pub(crate) struct Pki {
    dir: PathBuf,
    authority: Authority,
    server: String,
}

impl Pki {
    /// Writes what every API server needs: `ca.crt`, `apiserver`, `sa.key` and `sa.pub`, and the kubeconfig files
    /// `admin`, `controller-manager` and `scheduler`. `server` is the URL they name.
    pub(crate) fn write(dir: &Path, server: &str, more_names: &[&str]) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        let pki = Self {
            dir: dir.to_owned(),
            authority: Authority::new("trilby-test-kubernetes"),
            server: server.to_owned(),
        };
        pki.file("ca.crt", &pki.authority.certificate())?;
        let names = [API_SERVER_NAMES, more_names].concat();
        pki.credential("apiserver", &pki.authority.server(&names))?;
        let (private, public) = signing_key();
        pki.file("sa.key", &private)?;
        pki.file("sa.pub", &public)?;
        pki.kubeconfig("admin", "admin", Some("system:masters"))?;
        pki.kubeconfig("controller-manager", "system:kube-controller-manager", None)?;
        pki.kubeconfig("scheduler", "system:kube-scheduler", None)?;
        Ok(pki)
    }

    /// Writes a credential for a server of these names.
    pub(crate) fn server(&self, file: &str, names: &[&str]) -> Result<()> {
        self.credential(file, &self.authority.server(names))
    }

    /// Writes a credential for this user of this group.
    pub(crate) fn client(&self, file: &str, user: &str, group: Option<&str>) -> Result<()> {
        self.credential(file, &self.authority.client(user, group))
    }

    /// Writes `<file>.kubeconfig` for this user of this group.
    pub(crate) fn kubeconfig(&self, file: &str, user: &str, group: Option<&str>) -> Result<()> {
        let credential = self.authority.client(user, group);
        let config = self.kubeconfig_json(user, &credential);
        self.file(&format!("{file}.kubeconfig"), &config.to_string())
    }

    fn kubeconfig_json(&self, user: &str, credential: &Credential) -> Value {
        let base64 = |text: &str| BASE64_STANDARD.encode(text);
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "trilby",
            "clusters": [{"name": "trilby", "cluster": {
                "server": self.server,
                "certificate-authority-data": base64(&self.authority.certificate()),
            }}],
            "users": [{"name": user, "user": {
                "client-certificate-data": base64(&credential.certificate),
                "client-key-data": base64(&credential.key),
            }}],
            "contexts": [{"name": "trilby", "context": {"cluster": "trilby", "user": user}}],
        })
    }

    fn credential(&self, file: &str, credential: &Credential) -> Result<()> {
        self.file(&format!("{file}.crt"), &credential.certificate)?;
        self.file(&format!("{file}.key"), &credential.key)
    }

    fn file(&self, name: &str, content: &str) -> Result<()> {
        let path = self.dir.join(name);
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .with_context(|| path.display().to_string())
    }
}
