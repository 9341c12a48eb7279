//! How Consul is asked for the instances of a service.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use form_urlencoded::Serializer;
use http::HeaderValue;
use serde::Deserialize;
use trilby_components::metadata::value::Sensitive;

use crate::environment::{NAMESPACE, PARTITION, Variable};

/// How long a question waits for a change when nothing is told. Consul's own default is five minutes; an agent that
/// went away without a word is noticed sooner so.
const WAIT: Duration = Duration::from_secs(60);

/// `queryOptions`, in upstream's words; durations are nanoseconds.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct QueryOptions {
    namespace: String,
    partition: String,
    datacenter: String,
    token: Sensitive,
    near: String,
    filter: String,
    max_age: u64,
    stale_if_error: u64,
    wait_hash: String,
    wait_index: u64,
    wait_time: u64,
    node_meta: BTreeMap<String, String>,
    allow_stale: bool,
    require_consistent: bool,
    use_cache: bool,
    relay_factor: u8,
    local_only: bool,
    connect: bool,
}

/// What the client's settings say for every question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Defaults<'a> {
    pub(crate) datacenter: &'a str,
    /// Zero is unset.
    pub(crate) wait: Duration,
}

/// Everything of a question but the service's name.
#[derive(Debug, Clone)]
pub(crate) struct Questions {
    /// The parameters of one that is answered at once.
    pub(crate) direct: String,
    /// The parameters of one that waits for a change, without the index.
    waiting: String,
    /// How long the latter waits.
    pub(crate) wait: Duration,
    /// What the agent may answer from its cache.
    pub(crate) cache_control: Option<HeaderValue>,
    /// The token of questions, if it is another than the client's.
    pub(crate) token: Option<HeaderValue>,
}

impl QueryOptions {
    /// What upstream asks with when nothing is told.
    fn upstreams() -> Self {
        Self {
            use_cache: true,
            ..Self::default()
        }
    }

    pub(crate) fn tells_state_of_a_wait(&self) -> bool {
        self.wait_index != 0 || !self.wait_hash.is_empty()
    }

    /// Which instances are meant, and who may answer.
    fn parameters(
        &self,
        defaults: Defaults<'_>,
        variable: Variable,
    ) -> Serializer<'static, String> {
        let or = |told: &str, name: &str| match told {
            "" => variable(name).unwrap_or_default(),
            told => told.to_owned(),
        };
        let datacenter = match self.datacenter.as_str() {
            "" => defaults.datacenter,
            told => told,
        };
        let relay_factor = match self.relay_factor {
            0 => String::new(),
            factor => factor.to_string(),
        };
        let mut parameters = Serializer::new(String::new());
        parameters.append_pair("passing", "1");
        for (name, value) in [
            ("ns", or(&self.namespace, NAMESPACE).as_str()),
            ("partition", or(&self.partition, PARTITION).as_str()),
            ("dc", datacenter),
            ("near", &self.near),
            ("filter", &self.filter),
            ("relay-factor", &relay_factor),
        ] {
            if !value.is_empty() {
                parameters.append_pair(name, value);
            }
        }
        for (name, value) in &self.node_meta {
            parameters.append_pair("node-meta", &format!("{name}:{value}"));
        }
        for (name, value, set) in [
            ("stale", "", self.allow_stale),
            ("consistent", "", self.require_consistent),
            ("local-only", "true", self.local_only),
            ("connect", "true", self.connect),
        ] {
            if set {
                parameters.append_pair(name, value);
            }
        }
        parameters
    }

    fn may_be_cached(&self) -> bool {
        self.use_cache && !self.require_consistent
    }

    fn cache_control(&self) -> Option<HeaderValue> {
        let mut directives = Vec::new();
        for (name, nanoseconds) in [
            ("max-age", self.max_age),
            ("stale-if-error", self.stale_if_error),
        ] {
            if nanoseconds > 0 {
                let seconds = Duration::from_nanos(nanoseconds).as_secs_f64().round();
                directives.push(format!("{name}={seconds}"));
            }
        }
        (self.may_be_cached() && !directives.is_empty())
            .then(|| HeaderValue::try_from(directives.join(", ")).ok())
            .flatten()
    }
}

impl Questions {
    /// # Errors
    /// The token cannot stand in a header.
    pub(crate) fn new(
        told: Option<QueryOptions>,
        defaults: Defaults<'_>,
        variable: Variable,
    ) -> Result<Self, String> {
        let options = told.unwrap_or_else(QueryOptions::upstreams);
        let wait = match (options.wait_time, defaults.wait) {
            (0, Duration::ZERO) => WAIT,
            (0, default) => default,
            (told, _) => Duration::from_nanos(told),
        };
        let waiting = options.parameters(defaults, variable).finish();
        let mut direct = waiting.clone();
        if options.may_be_cached() {
            direct.push_str("&cached=");
        }
        Ok(Self {
            direct,
            waiting,
            wait,
            cache_control: options.cache_control(),
            token: token(options.token.expose(), "queryOptions.token")?,
        })
    }

    /// The parameters of a question that is answered once there is something newer than `index`.
    pub(crate) fn after(&self, index: u64) -> String {
        let mut parameters = self.waiting.clone();
        if index > 0 {
            // Zero would be Consul's default.
            let wait = self.wait.as_millis().max(1);
            write!(parameters, "&index={index}&wait={wait}ms").expect("a text takes everything");
        }
        parameters
    }
}

/// A token as a header; none for an empty one.
///
/// # Errors
/// It cannot stand in a header.
pub(crate) fn token(text: &str, place: &str) -> Result<Option<HeaderValue>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let value = HeaderValue::try_from(text);
    let mut value = value.map_err(|_| format!("{place}: not the text of a token"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::{Defaults, Questions};

    const NONE: Defaults<'static> = Defaults {
        datacenter: "",
        wait: Duration::ZERO,
    };

    fn questions(options: serde_json::Value) -> Questions {
        let options = serde_json::from_value(options).unwrap();
        Questions::new(options, NONE, |_| None).unwrap()
    }

    #[test]
    fn without_options_the_agent_may_answer_from_its_cache() {
        let questions = questions(json!(null));
        assert_eq!(questions.direct, "passing=1&cached=");
        assert_eq!(questions.after(0), "passing=1");
        assert_eq!(questions.after(7), "passing=1&index=7&wait=60000ms");
        assert_eq!(questions.cache_control, None);
    }

    #[test]
    fn namespace_and_partition_are_asked_for() {
        let told = questions(json!({ "namespace": "team a", "partition": "west" }));
        assert_eq!(told.direct, "passing=1&ns=team+a&partition=west");
        let variables = |name: &str| match name {
            "CONSUL_NAMESPACE" => Some("n".to_owned()),
            "CONSUL_PARTITION" => Some("p".to_owned()),
            _ => None,
        };
        let by_environment = Questions::new(None, NONE, variables).unwrap();
        assert_eq!(by_environment.after(0), "passing=1&ns=n&partition=p");
    }

    #[test]
    fn every_option_has_its_parameter() {
        let questions = questions(json!({
            "datacenter": "dc2", "near": "_agent", "filter": "Service.Tags contains \"a\"",
            "nodeMeta": { "rack": "1", "zone": "b" }, "allowStale": true, "relayFactor": 3, "localOnly": true,
            "connect": true, "useCache": true, "maxAge": 10_000_000_000_u64, "staleIfError": 1_500_000_000_u64,
            "waitTime": 100_u64, "token": "secret",
        }));
        assert_eq!(
            questions.direct,
            "passing=1&dc=dc2&near=_agent&filter=Service.Tags+contains+%22a%22&relay-factor=3&node-meta=rack%3A1\
             &node-meta=zone%3Ab&stale=&local-only=true&connect=true&cached="
        );
        assert!(questions.after(1).ends_with("&index=1&wait=1ms"));
        assert_eq!(
            questions.cache_control.unwrap(),
            "max-age=10, stale-if-error=2"
        );
        assert_eq!(questions.token.unwrap(), "secret");
    }

    #[test]
    fn what_has_to_be_consistent_is_not_cached() {
        let consistent =
            json!({ "requireConsistent": true, "useCache": true, "maxAge": 1_000_000_000_u64 });
        let questions = questions(consistent);
        assert_eq!(questions.direct, "passing=1&consistent=");
        assert_eq!(questions.cache_control, None);
    }

    #[test]
    fn the_clients_datacenter_and_wait_count_unless_told_otherwise() {
        let defaults = Defaults {
            datacenter: "dc3",
            wait: Duration::from_secs(9),
        };
        let questions = Questions::new(None, defaults, |_| None).unwrap();
        assert_eq!(questions.after(2), "passing=1&dc=dc3&index=2&wait=9000ms");
    }
}
