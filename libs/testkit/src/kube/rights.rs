//! What service accounts may do.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Kube;

impl Kube {
    /// What roles give a service account in its namespace and in the cluster, in the words of
    /// [`ApiServer::requests_of`](crate::ApiServer::requests_of): `list components`.
    ///
    /// # Panics
    /// If the API server refuses, or a role says something else than words.
    pub async fn rights_of(&self, namespace: &str, account: &str) -> BTreeSet<String> {
        let mut rights = BTreeSet::new();
        for kind in ["clusterrole", "role"] {
            let bindings = self.get_json(namespace, &format!("{kind}bindings")).await;
            let items = list(&bindings["items"]).iter();
            for binding in items.filter(|binding| is_of(binding, namespace, account)) {
                let role = binding["roleRef"]["name"].as_str().expect("a role's name");
                let role = self.get_json(namespace, &format!("{kind}/{role}")).await;
                rights.extend(list(&role["rules"]).iter().flat_map(verbs));
            }
        }
        rights
    }
}

fn is_of(binding: &Value, namespace: &str, account: &str) -> bool {
    let mut subjects = list(&binding["subjects"]).iter();
    subjects.any(|subject| subject["name"] == account && subject["namespace"] == namespace)
}

fn verbs(rule: &Value) -> Vec<String> {
    let resources = words(&rule["resources"]);
    let of = |verb: &String| -> Vec<String> {
        let each = resources.iter();
        each.map(|resource| format!("{verb} {resource}")).collect()
    };
    words(&rule["verbs"]).iter().flat_map(of).collect()
}

fn words(value: &Value) -> Vec<String> {
    serde_json::from_value(value.clone()).expect("a list of words")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
