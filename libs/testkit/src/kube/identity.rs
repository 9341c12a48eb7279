//! Namespaces, and the identities of service accounts and of pods.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Kube, or_panic};

impl Kube {
    /// Makes a namespace with a name of its own that starts with `prefix`, ready to take pods.
    ///
    /// # Panics
    /// If the API server refuses.
    pub async fn namespace(&self, prefix: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}-{}-{number}", std::process::id());
        self.namespace_named(&name).await;
        name
    }

    /// Makes the namespace of this name unless it is there, and waits for its default service account.
    ///
    /// # Panics
    /// If the API server refuses.
    pub async fn namespace_named(&self, name: &str) {
        let manifest = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.apply(&manifest.to_string()).await;
        let what = format!("namespace {name} has its default service account");
        self.eventually(&what, async |kube| {
            kube.try_get_json(name, "serviceaccount/default").await
        })
        .await;
    }

    /// Makes a service account unless it is there.
    ///
    /// # Panics
    /// If the API server refuses.
    pub async fn service_account(&self, namespace: &str, name: &str) {
        let manifest = json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": namespace},
        });
        self.apply(&manifest.to_string()).await;
    }

    /// A token of a service account, bound to nothing.
    ///
    /// # Panics
    /// If the account is not there.
    pub async fn token(&self, namespace: &str, account: &str, audience: &str) -> String {
        let audience = format!("--audience={audience}");
        let arguments = ["create", "token", account, "-n", namespace, &audience];
        self.kubectl(&arguments).await.trim().to_owned()
    }

    /// A token as a pod gets it in a projected volume: bound to the pod, which must be there (it need not run), of the
    /// service account that the pod names.
    ///
    /// # Panics
    /// If the pod is not there.
    pub async fn pod_token(&self, namespace: &str, pod: &str, audience: &str) -> String {
        let object = self.get_json(namespace, &format!("pod/{pod}")).await;
        let account = object["spec"]["serviceAccountName"]
            .as_str()
            .unwrap_or("default");
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        let arguments = [
            "create",
            "token",
            account,
            "-n",
            namespace,
            &format!("--audience={audience}"),
            "--bound-object-kind=Pod",
            &format!("--bound-object-name={pod}"),
            &format!("--bound-object-uid={uid}"),
        ];
        self.kubectl(&arguments).await.trim().to_owned()
    }

    /// Asks the API server whose token this is, as the services do.
    ///
    /// # Errors
    /// If the API server refuses the review; a token that is not valid is an answer.
    pub async fn review_token(&self, token: &str, audiences: &[&str]) -> Result<Value> {
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "spec": {"token": token, "audiences": audiences},
        });
        let arguments = ["create", "-o", "json", "-f", "-"];
        let text = self.run("kubectl", &arguments, &review.to_string()).await?;
        let answer: Value = serde_json::from_str(&text).context("reading the TokenReview")?;
        Ok(answer["status"].clone())
    }

    /// A kubeconfig file with which a program acts as this service account, with its rights only.
    ///
    /// # Panics
    /// If the account is not there or the file cannot be written.
    pub async fn kubeconfig_of(&self, namespace: &str, account: &str) -> PathBuf {
        let arguments = ["create", "token", account, "-n", namespace];
        let token = self.kubectl(&arguments).await;
        let path = self.home.join(format!("{namespace}.{account}.kubeconfig"));
        or_panic(self.write_kubeconfig_of(&path, token.trim()));
        path
    }

    /// A handle with the rights of this service account only.
    ///
    /// # Panics
    /// If the account is not there.
    pub async fn acting_as(&self, namespace: &str, account: &str) -> Self {
        let kubeconfig = self.kubeconfig_of(namespace, account).await;
        Self::new(kubeconfig, self.home.clone(), self.network)
    }

    fn write_kubeconfig_of(&self, path: &PathBuf, token: &str) -> Result<()> {
        let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&self.kubeconfig)?)?;
        config["users"][0]["user"] = json!({"token": token});
        Ok(std::fs::write(path, config.to_string())?)
    }
}
