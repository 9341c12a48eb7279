use serde_json::json;

use super::*;

fn configuration(spec: serde_json::Value) -> ConfigurationSpec {
    serde_json::from_value::<Configuration>(json!({"spec": spec}))
        .unwrap()
        .spec
}

#[test]
fn what_is_absent_or_null_takes_its_zero_value() {
    assert_eq!(configuration(json!({})), ConfigurationSpec::default());
    assert_eq!(configuration(json!(null)), ConfigurationSpec::default());
    let nulls =
        json!({"httpPipeline": {"handlers": null}, "features": null, "mtls": {"enabled": null}});
    let spec = configuration(nulls);
    assert_eq!(spec.http_pipeline, Some(PipelineSpec::default()));
    assert!(spec.features.is_empty());
    assert!(spec.mtls.unwrap().enabled());
}

#[test]
fn the_system_configuration_of_the_chart_decodes() {
    let spec = configuration(json!({"mtls": {
        "enabled": false,
        "workloadCertTTL": "24h",
        "allowedClockSkew": "15m",
        "controlPlaneTrustDomain": "cluster.local",
        "sentryAddress": "dapr-sentry.dapr-system.svc.cluster.local:443",
    }}));
    let mtls = spec.mtls.unwrap();
    assert!(!mtls.enabled());
    assert_eq!(mtls.workload_cert_ttl.as_deref(), Some("24h"));
    assert_eq!(mtls.allowed_clock_skew.as_deref(), Some("15m"));
    assert_eq!(mtls.control_plane_trust_domain, "cluster.local");
    assert_eq!(
        mtls.sentry_address,
        "dapr-sentry.dapr-system.svc.cluster.local:443"
    );
}

#[test]
fn a_full_configuration_survives_a_round_trip() {
    let pipeline = json!({"handlers": [{
        "name": "limit",
        "type": "middleware.http.ratelimit",
        "selector": {"fields": [{"field": "f", "value": "v"}]},
    }]});
    let metrics = json!({
        "enabled": true,
        "recordErrorCodes": true,
        "http": {"increasedCardinality": false, "pathMatching": ["/a"], "excludeVerbs": true},
        "latencyDistributionBuckets": [1, 2],
        "workflow": {"latencyDistributionBuckets": [1], "latencyDistributionUnits": "1s"},
        "rules": [{"name": "m", "labels": [{"name": "l", "regex": {"a": "b.*"}}]}],
    });
    let written = json!({
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Configuration",
        "metadata": {"name": "c"},
        "spec": {
            "accessControl": {
                "defaultAction": "deny",
                "trustDomain": "td",
                "policies": [{
                    "appId": "a", "defaultAction": "deny", "trustDomain": "td", "namespace": "n",
                    "operations": [{"name": "/x", "action": "allow", "httpVerb": ["GET"]}],
                }],
            },
            "api": {
                "allowed": [{"name": "state", "version": "v1.0", "protocol": "http"}],
                "denied": [{"name": "invoke", "version": "v1.0"}],
            },
            "appHttpPipeline": pipeline,
            "httpPipeline": pipeline,
            "components": {"deny": ["state.redis/v1"]},
            "features": [{"name": "HotReload", "enabled": false}],
            "logging": {"apiLogging": {"enabled": true, "obfuscateURLs": true, "omitHealthChecks": true}},
            "metric": {"enabled": null},
            "metrics": metrics,
            "mtls": {
                "enabled": true, "workloadCertTTL": "1h", "allowedClockSkew": "1m",
                "controlPlaneTrustDomain": "td", "sentryAddress": "s:443",
                "tokenValidators": [{"name": "jwks", "options": {"minRefreshInterval": "2m"}}],
            },
            "nameResolution": {"component": "kubernetes", "version": "v1", "configuration": {"a": 1}},
            "secrets": {"scopes": [{
                "storeName": "s", "defaultAccess": "deny", "allowedSecrets": ["a"], "deniedSecrets": ["b"],
            }]},
            "tracing": {
                "samplingRate": "1", "stdout": true,
                "zipkin": {"endpointAddress": "http://z"},
                "otel": {
                    "protocol": "grpc", "endpointAddress": "o:4317", "isSecure": false, "timeout": "5s",
                    "headers": [{"name": "h", "secretKeyRef": {"name": "s", "key": "k"}}],
                },
            },
            "wasm": {"strictSandbox": true},
            "workflow": {
                "maxConcurrentWorkflowInvocations": 1,
                "maxConcurrentActivityInvocations": 2,
                "globalMaxConcurrentWorkflowInvocations": 3,
                "globalMaxConcurrentActivityInvocations": 4,
                "workflowConcurrencyLimits": [{"name": "w", "maxConcurrent": 5}],
                "activityConcurrencyLimits": [{"name": "a", "maxConcurrent": 6}],
                "stateRetentionPolicy": {"anyTerminal": "1h", "completed": "2h", "failed": "3h", "terminated": "0s"},
            },
        },
    });
    let decoded: Configuration = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(decoded).unwrap(), written);
}
