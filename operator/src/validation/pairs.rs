//! Lists of names and values, whose values may stand in a Secret.

use std::collections::HashSet;

use trilby_crds::{NameValuePair, SecretKeyRef};

use super::{
    Subject,
    facts::{Facts, Questions},
    finding::Findings,
};

/// The secret store that the operator itself reads.
const KUBERNETES: &str = "kubernetes";

/// Whether the store of that name is Kubernetes' own.
pub(super) fn is_kubernetes(store: &str) -> bool {
    store.is_empty() || store == KUBERNETES
}

/// Asks for what a resource with these references and this `auth.secretStore` needs.
pub(super) fn ask<'a>(
    questions: &mut Questions,
    store: &str,
    references: impl IntoIterator<Item = &'a SecretKeyRef>,
) {
    if is_kubernetes(store) {
        for reference in references {
            questions.secret(&reference.name);
        }
    } else {
        questions.component(store);
    }
}

/// The path of one item.
pub(super) fn path(list: &str, pair: &NameValuePair) -> String {
    format!("{list}[{}]", pair.name)
}

/// Names that are empty or given twice. `same` makes equal what is one name.
pub(super) fn names(
    findings: &mut Findings,
    (list, pairs): (&str, &[NameValuePair]),
    same: fn(&str) -> String,
) {
    let mut seen = HashSet::with_capacity(pairs.len());
    for pair in pairs {
        if pair.name.is_empty() {
            findings.error(list, || "has an item without a name".to_owned());
        } else if !seen.insert(same(&pair.name)) {
            findings.error(path(list, pair), || "is given more than once".to_owned());
        }
    }
}

/// Which of an item's sources counts, where there are several.
pub(super) fn sources(findings: &mut Findings, list: &str, pairs: &[NameValuePair]) {
    for pair in pairs {
        let inline = !pair.text().is_empty();
        match (inline, pair.secret().is_some(), pair.env_ref.is_some()) {
            (true, true, _) => findings.error(path(list, pair), || {
                "has both a value and a secretKeyRef: the secret counts, remove the value"
                    .to_owned()
            }),
            (true, false, true) => findings.error(path(list, pair), || {
                "has both a value and an envRef: the value counts, remove one of them".to_owned()
            }),
            (false, true, true) => findings.error(path(list, pair), || {
                "has both an envRef and a secretKeyRef: the variable counts, remove one of them"
                    .to_owned()
            }),
            _ => {}
        }
    }
}

/// A reference to a Secret that is not there, or has no such key.
pub(super) fn reference(
    (findings, facts): (&mut Findings, &Facts),
    store: &str,
    (path, reference): (String, &SecretKeyRef),
) {
    if !is_kubernetes(store) {
        return;
    }
    let (secret, key) = (&reference.name, reference.key());
    match facts.secrets.get(secret) {
        Some(None) => findings.error(path, || {
            format!("refers to the Secret {secret:?}, which does not exist in this namespace")
        }),
        Some(Some(keys)) if !keys.contains(key) => findings.error(path, || {
            format!("refers to the key {key:?}, which the Secret {secret:?} does not have")
        }),
        Some(Some(_)) | None => {}
    }
}

impl Subject<'_> {
    /// Everything about one list of pairs.
    pub(super) fn pairs(&mut self, store: &str, list: &str, pairs: &[NameValuePair]) {
        sources(&mut self.findings, list, pairs);
        for pair in pairs {
            if let Some(found) = pair.secret() {
                let place = (path(list, pair), found);
                reference((&mut self.findings, self.facts), store, place);
            }
        }
    }

    /// Whether the store that secrets are read from is one.
    pub(super) fn secret_store(&mut self, path: &str, store: &str) {
        if is_kubernetes(store) {
            return;
        }
        let text = match self.facts.components.get(store) {
            Some(None) => {
                format!("names the secret store {store:?}, but there is no such Component")
            }
            Some(Some(found)) if !found.starts_with("secretstores.") => {
                format!("names the Component {store:?}, which is no secret store but {found}")
            }
            Some(Some(_)) | None => return,
        };
        self.findings.error(path, || text);
    }
}
