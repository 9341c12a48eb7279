use serde_json::json;

use super::{said, with};
use crate::validation::{Facts, Finding, facts::Policies};

#[test]
fn resiliency_is_read_as_sidecars_read_it() {
    let object = json!({"metadata": {"name": "r"}, "spec": {
        "policies": {
            "timeouts": {"slow": "5 s"},
            "retries": {"often": {"policy": "sometimes"}},
            "circuitBreakers": {"quick": {"trip": "consecutiveFailures > 3"}},
        },
        "targets": {
            "apps": {"a": {"timeout": "slow", "retry": "oftn", "circuitBreaker": "quick"}},
            "actors": {"A": {"circuitBreaker": "quick"}},
            "components": {"s": {"outbound": {"retry": "elsewhere"}}},
        },
    }});
    let paths = |facts: &Facts| -> Vec<String> {
        with(facts, "Resiliency", &object)
            .into_iter()
            .map(|finding| finding.path)
            .collect()
    };
    let own = [
        "spec.policies.timeouts.slow",
        "spec.policies.retries.often.policy",
        "spec.targets.actors.A.circuitBreakerScope",
    ];
    assert_eq!(paths(&Facts::default()), own);
    let facts = Facts {
        policies: Some(Policies {
            retries: ["elsewhere".to_owned()].into(),
            ..Policies::default()
        }),
        ..Facts::default()
    };
    assert_eq!(paths(&facts)[3..], ["spec.targets.apps.a.retry"]);
    let found = said(&facts, "Resiliency", &object);
    assert!(
        found[3].ends_with(
            "names the retry policy \"oftn\", which no Resiliency defines, did you mean often?"
        ),
        "{found:?}"
    );
}

/// Of each spec one thing is said, and it begins like this.
fn each(cases: impl IntoIterator<Item = (serde_json::Value, &'static str)>) {
    for (spec, path) in cases {
        let found = said(&Facts::default(), "Configuration", &json!({"spec": spec}));
        let begins = found
            .first()
            .is_some_and(|found| found.starts_with(&format!("{path}: ")));
        assert!(found.len() == 1 && begins, "{path}: {found:?}");
    }
}

#[test]
fn values_of_a_configuration_that_upstream_replaces_in_silence_are_told() {
    each([
        (
            json!({"metric": {"enabled": false}, "metrics": {"enabled": true}}),
            "!spec.metric.enabled",
        ),
        (
            json!({"metrics": {"latencyDistributionBuckets": [5, 1]}}),
            "!spec.metrics.latencyDistributionBuckets",
        ),
        (
            json!({"mtls": {"workloadCertTTL": "1d"}}),
            "!spec.mtls.workloadCertTTL",
        ),
        (
            json!({"workflow": {"stateRetentionPolicy": {"failed": "soon"}}}),
            "!spec.workflow.stateRetentionPolicy.failed",
        ),
        (
            json!({"tracing": {"samplingRate": "2"}}),
            "!spec.tracing.samplingRate",
        ),
        (
            json!({"tracing": {"otel": {"protocol": "https"}}}),
            "!spec.tracing.otel.protocol",
        ),
        (
            json!({"tracing": {"otel": {"headers": [{"name": "a", "secretKeyRef": {"name": "s"}}]}}}),
            "!spec.tracing.otel.headers[a]",
        ),
        (
            json!({"accessControl": {"defaultAction": "denny"}}),
            "!spec.accessControl.defaultAction",
        ),
        (
            json!({"accessControl": {"policies": [{"appId": "a", "operations": [{"name": "/x", "action": "no"}]}]}}),
            "!spec.accessControl.policies[a].operations[/x].action",
        ),
        (
            json!({"api": {"allowed": [{"name": "state", "protocol": "tcp"}]}}),
            "!spec.api.allowed[state].protocol",
        ),
        (
            json!({"secrets": {"scopes": [{"storeName": "vault", "defaultAccess": "none"}]}}),
            "!spec.secrets.scopes[vault].defaultAccess",
        ),
    ]);
}

#[test]
fn names_in_a_configuration_are_known_ones() {
    each([
        (
            json!({"features": [{"name": "HotRelaod", "enabled": true}]}),
            "spec.features[HotRelaod]",
        ),
        (
            json!({"nameResolution": {"component": "mdsn"}}),
            "!spec.nameResolution.component",
        ),
        (
            json!({"nameResolution": {"component": "aws.cloudmap"}}),
            "!spec.nameResolution.component",
        ),
        (
            json!({"components": {"deny": ["state.reddis/v1"]}}),
            "spec.components.deny[state.reddis/v1]",
        ),
        (
            json!({"httpPipeline": {"handlers": [{"name": "u", "type": "middleware.http.upercase"}]}}),
            "!spec.httpPipeline.handlers[u].type",
        ),
    ]);
}

#[test]
fn a_good_configuration_is_not_spoken_of() {
    let good = json!({"spec": {
        "metrics": {"enabled": false}, "metric": {"enabled": false}, "features": [{"name": "HotReload", "enabled": true}],
        "nameResolution": {"component": "nameresolution.mDNS"}, "components": {"deny": ["state.mongodb"]},
        "tracing": {"samplingRate": "0.5", "otel": {"protocol": "grpc", "endpointAddress": "x:1"}},
        "httpPipeline": {"handlers": [{"name": "u", "type": "middleware.http.uppercase"}]},
    }});
    assert_eq!(said(&Facts::default(), "Configuration", &good), [""; 0]);
}

#[test]
fn handlers_of_a_pipeline_are_components_of_their_type() {
    let facts = Facts {
        components: [
            ("gone".to_owned(), None),
            ("other".to_owned(), Some("middleware.http.opa".to_owned())),
        ]
        .into(),
        ..Facts::default()
    };
    let handler = |name: &str| json!({"spec": {"appHttpPipeline": {"handlers": [{"name": name, "type": "middleware.http.uppercase"}]}}});
    for (name, text) in [
        (
            "gone",
            "names a Component that does not exist in this namespace",
        ),
        (
            "other",
            "names a Component that is no middleware.http.uppercase but middleware.http.opa",
        ),
    ] {
        let expected = format!("!spec.appHttpPipeline.handlers[{name}]: {text}");
        assert_eq!(said(&facts, "Configuration", &handler(name)), [expected]);
    }
}

#[test]
fn a_subscription_leads_somewhere() {
    let facts = Facts {
        components: [
            ("gone".to_owned(), None),
            ("store".to_owned(), Some("state.redis".to_owned())),
            ("bus".to_owned(), Some("pubsub.redis".to_owned())),
        ]
        .into(),
        ..Facts::default()
    };
    for (spec, paths) in [
        (
            json!({"pubsubname": "bus", "topic": "t", "routes": {"default": "/t"}}),
            &[][..],
        ),
        (
            json!({"pubsubname": "gone", "topic": "t", "routes": {"default": "/t"}}),
            &["spec.pubsubname"],
        ),
        (
            json!({"pubsubname": "store", "topic": "", "routes": {}}),
            &["spec.pubsubname", "spec.topic", "spec.routes"],
        ),
        (
            json!({"pubsubname": "bus", "topic": "t", "routes": {"rules": [{"match": "", "path": "/a"}, {"match": "true", "path": ""}]}}),
            &["spec.routes.rules[1].path", "spec.routes.rules[1]"],
        ),
    ] {
        let object = json!({"apiVersion": "dapr.io/v2alpha1", "spec": spec});
        let found: Vec<_> = with(&facts, "Subscription", &object)
            .into_iter()
            .map(|finding| finding.path)
            .collect();
        assert_eq!(found, paths);
    }
    let older = json!({"apiVersion": "dapr.io/v1alpha1", "spec": {"pubsubname": "bus", "topic": "t", "route": "/t"}});
    assert_eq!(said(&facts, "Subscription", &older), [""; 0]);
}

#[test]
fn an_endpoint_can_be_called() {
    for (spec, paths) in [
        (
            json!({"baseUrl": "https://user:s3cret@api.example/v1"}),
            &[][..],
        ),
        (json!({"baseUrl": "api.example"}), &["spec.baseUrl"]),
        (json!({"baseUrl": "ftp://s3cret"}), &["spec.baseUrl"]),
        (json!({"baseUrl": "https://"}), &["spec.baseUrl"]),
        (
            json!({"baseUrl": "http://x", "headers": [{"name": "a b", "value": "s3cret"}, {"name": "X", "value": ""}, {"name": "x", "value": ""}]}),
            &["spec.headers[x]", "spec.headers[a b]"],
        ),
        (
            json!({"baseUrl": "http://x", "clientTLS": {"certificate": {"value": "s3cret"}}}),
            &["spec.clientTLS"],
        ),
        (
            json!({"baseUrl": "http://x", "clientTLS": {"rootCA": {"value": "s3cret", "secretKeyRef": {"name": "gone"}}}}),
            &["spec.clientTLS.rootCA", "spec.clientTLS.rootCA"],
        ),
    ] {
        let facts = Facts {
            secrets: [("gone".to_owned(), None)].into(),
            ..Facts::default()
        };
        let found = with(&facts, "HTTPEndpoint", &json!({"spec": spec}));
        let texts: String = found.iter().map(Finding::to_string).collect();
        assert!(!texts.contains("s3cret"), "{texts}");
        let found: Vec<_> = found.into_iter().map(|finding| finding.path).collect();
        assert_eq!(found, paths);
    }
}

#[test]
fn a_server_of_tools_can_be_called() {
    for (endpoint, paths) in [
        (
            json!({"sse": {"url": "https://mcp", "timeout": "3s"}}),
            &[][..],
        ),
        (
            json!({"stdio": {"command": "mcp"}}),
            &["spec.endpoint.stdio"],
        ),
        (
            json!({"streamableHTTP": {"url": "mcp", "timeout": "3"}}),
            &[
                "spec.endpoint.streamableHTTP.url",
                "spec.endpoint.streamableHTTP.timeout",
            ],
        ),
        (
            json!({"sse": {"url": "http://x", "headers": [{"name": "h", "secretKeyRef": {"name": "gone"}}]}}),
            &["spec.endpoint.sse.headers[h]"],
        ),
        (
            json!({"sse": {"url": "http://x", "auth": {"secretStore": "no"}}}),
            &["spec.endpoint.sse.auth.secretStore"],
        ),
    ] {
        let facts = Facts {
            secrets: [("gone".to_owned(), None)].into(),
            components: [("no".to_owned(), None)].into(),
            ..Facts::default()
        };
        let found = with(
            &facts,
            "MCPServer",
            &json!({"spec": {"endpoint": endpoint}}),
        )
        .into_iter();
        assert_eq!(found.map(|finding| finding.path).collect::<Vec<_>>(), paths);
    }
}
