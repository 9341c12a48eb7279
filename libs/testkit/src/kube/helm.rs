//! `helm`, as far as the tests use it.

use anyhow::Result;

use super::{Kube, or_panic};

impl Kube {
    /// Runs `helm` with these arguments and gives its standard output.
    ///
    /// # Errors
    /// If it fails; the text has the command and its standard error.
    pub async fn try_helm(&self, arguments: &[&str]) -> Result<String> {
        self.run("helm", arguments, "").await
    }

    /// Runs `helm` with these arguments and gives its standard output.
    ///
    /// # Panics
    /// If it fails.
    pub async fn helm(&self, arguments: &[&str]) -> String {
        or_panic(self.try_helm(arguments).await)
    }

    /// Installs a chart into a namespace, which is made, and waits until all it installs is ready:
    /// `helm_install("dapr-system", ("dapr", "charts/dapr"), &["--set", "global.ha.enabled=false"])`.
    ///
    /// # Panics
    /// If it fails; the message has the namespace's pods and events.
    pub async fn helm_install(&self, namespace: &str, release: (&str, &str), options: &[&str]) {
        let (name, chart) = release;
        let mut arguments = vec![
            "install",
            name,
            chart,
            "-n",
            namespace,
            "--create-namespace",
        ];
        arguments.extend(["--wait", "--timeout", "100s"]);
        arguments.extend(options);
        if let Err(error) = self.try_helm(&arguments).await {
            panic!("{error:#}\n{}", self.describe(namespace).await);
        }
    }

    /// What a chart's installation into this namespace would apply, or with `--show-only` a part of it.
    ///
    /// # Panics
    /// If it fails.
    pub async fn helm_template(&self, namespace: &str, chart: &str, options: &[&str]) -> String {
        let mut arguments = vec!["template", chart, "-n", namespace];
        arguments.extend(options);
        self.helm(&arguments).await
    }

    /// Removes a release and waits until its objects are gone.
    ///
    /// # Panics
    /// If it fails.
    pub async fn helm_uninstall(&self, namespace: &str, release: &str) {
        self.helm(&["uninstall", release, "-n", namespace, "--wait"])
            .await;
    }
}
