//! What there is in a cluster, to tell what something leaves behind.

use std::collections::BTreeSet;

use anyhow::Result;

use super::Kube;

/// What comes and goes by itself, by its plural. Leases are among them: who led is nobody's property.
const FLEETING: [&str; 5] = [
    "events",
    "componentstatuses",
    "leases",
    "endpointslices",
    "apiservices",
];

impl Kube {
    /// Every object of the cluster that stays until somebody removes it, as `Kind namespace name`; without a namespace,
    /// that is `<none>`.
    ///
    /// # Errors
    /// If they cannot be listed, as while a definition goes away.
    pub async fn lasting_objects(&self) -> Result<BTreeSet<String>> {
        let kinds = self
            .try_kubectl(&["api-resources", "--verbs=list", "-o", "name"])
            .await?;
        let lasting = kinds.lines().filter(|kind| {
            let plural = kind.split('.').next().unwrap_or_default();
            !FLEETING.contains(&plural)
        });
        let kinds = lasting.collect::<Vec<_>>().join(",");
        let columns = "-o=custom-columns=:.kind,:.metadata.namespace,:.metadata.name";
        let arguments = [
            "get",
            &kinds,
            "-A",
            "--no-headers",
            "--ignore-not-found",
            columns,
        ];
        let listed = self.try_kubectl(&arguments).await?;
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(listed.lines().map(words).collect())
    }
}
