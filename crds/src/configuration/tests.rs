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
    let written: serde_json::Value = serde_json::from_str(include_str!("full.json")).unwrap();
    let decoded: Configuration = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(decoded).unwrap(), written);
}
