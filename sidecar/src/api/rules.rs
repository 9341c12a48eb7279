//! Which APIs an application may use (`spec.api` of its Configuration). Pure.
//!
//! A refused HTTP API is as if its routes did not exist; a refused gRPC API is not implemented.

/// The API a rule speaks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP.
    Http,
    /// gRPC.
    Grpc,
}

/// One line of `allowed` or `denied`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The API's name, such as `state`.
    pub name: String,
    /// Its version, such as `v1`.
    pub version: String,
    /// The protocol it holds for; `None` for both.
    pub protocol: Option<Protocol>,
}

/// Both lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiRules {
    /// When not empty, nothing else is allowed.
    pub allowed: Vec<Rule>,
    /// Refused before anything is allowed.
    pub denied: Vec<Rule>,
}

impl ApiRules {
    /// Whether nothing is refused.
    pub fn is_empty(&self) -> bool {
        self.allowed.is_empty() && self.denied.is_empty()
    }

    /// Whether an HTTP route exists: `group` is `<version>/<name>` of its API, `template` its path below
    /// the root, such as `v1.0/state/{storeName}`.
    pub fn allow_http(&self, group: &str, template: &str) -> bool {
        self.allow(Protocol::Http, |rule| {
            let key = format!("{}/{}", rule.version, rule.name);
            group == key || template.starts_with(&key)
        })
    }

    /// Whether a gRPC method exists: `name` and `version` of its API.
    pub fn allow_grpc(&self, name: &str, version: &str) -> bool {
        self.allow(Protocol::Grpc, |rule| {
            rule.name == name && rule.version == version
        })
    }

    fn allow(&self, protocol: Protocol, matches: impl Fn(&Rule) -> bool) -> bool {
        let concerns = |rule: &&Rule| rule.protocol.is_none_or(|only| only == protocol);
        if self.denied.iter().filter(concerns).any(&matches) {
            return false;
        }
        let mut allowed = self.allowed.iter().filter(concerns).peekable();
        allowed.peek().is_none() || allowed.any(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::{ApiRules, Protocol, Rule};

    fn rule(version: &str, name: &str, protocol: Option<Protocol>) -> Rule {
        Rule {
            name: name.into(),
            version: version.into(),
            protocol,
        }
    }

    #[test]
    fn nothing_written_allows_everything() {
        assert!(ApiRules::default().allow_http("v1/state", "v1.0/state/{storeName}"));
    }

    #[test]
    fn allowed_list_is_complete() {
        let rules = ApiRules {
            allowed: vec![rule("v1", "state", None)],
            ..ApiRules::default()
        };
        assert!(rules.allow_http("v1/state", "v1.0/state/{storeName}"));
        assert!(!rules.allow_http("v1/secrets", "v1.0/secrets/{secretStoreName}"));
        assert!(rules.allow_grpc("state", "v1") && !rules.allow_grpc("secrets", "v1"));
    }

    #[test]
    fn denial_comes_first() {
        let rules = ApiRules {
            allowed: vec![rule("v1", "state", None)],
            denied: vec![rule("v1", "state", None)],
        };
        assert!(!rules.allow_http("v1/state", "v1.0/state/{storeName}"));
    }

    #[test]
    fn http_rules_may_be_a_prefix_of_the_path() {
        let rules = ApiRules {
            denied: vec![rule("v1.0", "state", None)],
            ..ApiRules::default()
        };
        assert!(!rules.allow_http("v1/state", "v1.0/state/{storeName}"));
        assert!(rules.allow_http("v1alpha1/state", "v1.0-alpha1/state/{storeName}/query"));
    }

    #[test]
    fn rules_hold_for_their_protocol() {
        let rules = ApiRules {
            denied: vec![rule("v1", "state", Some(Protocol::Grpc))],
            ..ApiRules::default()
        };
        assert!(rules.allow_http("v1/state", "v1.0/state/{storeName}"));
        assert!(!rules.allow_grpc("state", "v1"));
    }
}
