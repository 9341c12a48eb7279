//! Who may have sidecars put into the pods they create.
//!
//! A pod's creator decides what runs in it, so a sidecar's identity is given only to pods made by controllers that act
//! for a Deployment or the like, by accounts that the operator of the cluster lists, and by cluster administrators.

use crate::glob::{Glob, GlobError};

/// The group of cluster administrators.
const ADMINISTRATORS: &str = "system:masters";

/// How Kubernetes spells a service account as a user.
const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// Controllers that are always allowed.
const CONTROLLERS: [&str; 10] = [
    "kube-system:replicaset-controller",
    "kube-system:replication-controller",
    "kube-system:deployment-controller",
    "kube-system:cronjob-controller",
    "kube-system:job-controller",
    "kube-system:statefulset-controller",
    "kube-system:daemon-set-controller",
    "openshift-operator-lifecycle-manager:olm-operator-serviceaccount",
    "tekton-pipelines:tekton-pipelines-controller",
    "mirrord:mirrord-operator",
];

/// The accounts that may have sidecars injected.
#[derive(Debug, Clone)]
pub struct Requesters(Vec<Account>);

/// A pattern of service accounts, `namespace:name`.
#[derive(Debug, Clone)]
struct Account {
    namespace: Glob,
    name: Glob,
}

/// Why a list of accounts cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// Not of the form `namespace:name`.
    #[error("invalid pattern {0:?}, must contain exactly one ':' separating namespace and name")]
    Colon(String),
    /// Only a colon.
    #[error("namespace and name patterns cannot both be empty")]
    Empty,
    /// One half is no shell pattern.
    #[error("invalid pattern {pattern:?}: {reason}")]
    Glob {
        /// The half.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Requesters {
    /// The built-in controllers and these comma-separated patterns of `namespace:name`.
    ///
    /// # Errors
    /// The first pattern that cannot be read.
    pub fn new(allowed: &str) -> Result<Self, AccountError> {
        let custom = allowed.split(',').map(str::trim);
        CONTROLLERS
            .into_iter()
            .chain(custom.filter(|pattern| !pattern.is_empty()))
            .map(Account::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether this user may.
    pub fn allow(&self, username: &str, groups: &[String]) -> bool {
        groups.iter().any(|group| group == ADMINISTRATORS)
            || username
                .strip_prefix(SERVICE_ACCOUNT_PREFIX)
                .and_then(|account| account.split_once(':'))
                .is_some_and(|(namespace, name)| self.allow_account(namespace, name))
    }

    fn allow_account(&self, namespace: &str, name: &str) -> bool {
        self.0
            .iter()
            .any(|account| account.namespace.matches(namespace) && account.name.matches(name))
    }
}

impl Account {
    fn parse(pattern: &str) -> Result<Self, AccountError> {
        let halves = pattern.split_once(':');
        let (namespace, name) = halves
            .filter(|(_, name)| !name.contains(':'))
            .ok_or_else(|| AccountError::Colon(pattern.to_owned()))?;
        let (namespace, name) = (namespace.trim(), name.trim());
        if namespace.is_empty() && name.is_empty() {
            return Err(AccountError::Empty);
        }
        Ok(Self {
            namespace: glob(namespace)?,
            name: glob(name)?,
        })
    }
}

fn glob(pattern: &str) -> Result<Glob, AccountError> {
    Glob::parse(pattern).map_err(|reason: GlobError| AccountError::Glob {
        pattern: pattern.to_owned(),
        reason: reason.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::{AccountError, Requesters};

    fn allowed(list: &str, account: &str) -> bool {
        let user = format!("system:serviceaccount:{account}");
        Requesters::new(list).unwrap().allow(&user, &[])
    }

    #[test]
    fn built_in_controllers_stay_allowed_beside_a_list_of_ones_own() {
        for list in ["", "ci:deployer"] {
            assert!(allowed(list, "kube-system:replicaset-controller"));
            assert!(allowed(list, "kube-system:daemon-set-controller"));
            assert!(!allowed(list, "default:default"));
        }
        assert!(allowed("ci:deployer", "ci:deployer"));
    }

    #[test]
    fn both_halves_are_patterns() {
        assert!(allowed("proj-*:sa-*", "proj-a:sa-x"));
        assert!(!allowed("proj-*:sa-*", "proj-a:x"));
        assert!(!allowed("staging-?:deploy", "staging-12:deploy"));
        assert!(allowed(" a:b ,, *:* ", "any:one"));
        assert!(!allowed("ns:name", "ns:other"));
        assert!(!allowed("ns:name", "other:name"));
    }

    #[test]
    fn administrators_are_allowed_and_other_users_are_not() {
        let requesters = Requesters::new("*:*").unwrap();
        let groups = [
            "system:authenticated".to_owned(),
            "system:masters".to_owned(),
        ];
        assert!(requesters.allow("alice", &groups));
        assert!(!requesters.allow("alice", &groups[..1]));
        assert!(!requesters.allow("system:serviceaccount:lonely", &[]));
    }

    #[test]
    fn malformed_lists_are_refused() {
        let error = |list| Requesters::new(list).unwrap_err();
        assert_eq!(error("a:b,name"), AccountError::Colon("name".into()));
        assert_eq!(error("a:b:c"), AccountError::Colon("a:b:c".into()));
        assert_eq!(error(" : "), AccountError::Empty);
        assert_eq!(
            error("[a:b").to_string(),
            "invalid pattern \"[a\": malformed character class"
        );
    }
}
