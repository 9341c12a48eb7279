//! Configurations: what sidecars replace in silence by a default, or never come to use.

use std::collections::HashSet;

use serde_json::Value;
use trilby_component_catalogue::{Lookup, nearest};
use trilby_crds::{
    AccessControlSpec, ApiSpec, Configuration, ConfigurationSpec, NameValuePair, PipelineSpec,
    SecretsSpec, TracingSpec,
};
use trilby_go_syntax::parse_duration;

use super::{
    CATALOGUE, Subject, component::suggestion, decode, facts::Questions, finding::Findings, pairs,
};

const HEADERS: &str = "spec.tracing.otel.headers";
/// The features that Dapr knows.
const FEATURES: &[&str] = &[
    "ActorStateTTL",
    "HotReload",
    "WorkflowHistorySigning",
    "WorkflowsClusteredDeployment",
    "WorkflowsFastPath",
    "WorkflowsRemoteActivityReminder",
];

pub(super) fn ask(object: &Value, questions: &mut Questions) {
    let Some(configuration) = decode::<Configuration>(object) else {
        return;
    };
    let spec = &configuration.spec;
    let otel = spec
        .tracing
        .as_ref()
        .and_then(|tracing| tracing.otel.as_ref());
    let headers = otel.map_or(&[][..], |otel| &otel.headers);
    pairs::ask(
        questions,
        "",
        headers.iter().filter_map(NameValuePair::secret),
    );
    let stores = spec.secrets.iter().flat_map(|secrets| &secrets.scopes);
    stores
        .filter(|scope| !pairs::is_kubernetes(&scope.store_name))
        .for_each(|scope| questions.component(&scope.store_name));
    for (_, pipeline) in pipelines(spec) {
        pipeline
            .handlers
            .iter()
            .for_each(|handler| questions.component(&handler.name));
    }
}

fn pipelines(spec: &ConfigurationSpec) -> impl Iterator<Item = (&'static str, &PipelineSpec)> {
    let both = [
        ("spec.httpPipeline", &spec.http_pipeline),
        ("spec.appHttpPipeline", &spec.app_http_pipeline),
    ];
    both.into_iter()
        .filter_map(|(path, pipeline)| Some((path, pipeline.as_ref()?)))
}

pub(super) fn validate(subject: &mut Subject<'_>) {
    let Some(configuration) = subject.decode::<Configuration>() else {
        return;
    };
    let spec = &configuration.spec;
    let findings = &mut subject.findings;
    durations(findings, spec);
    metrics(findings, spec);
    features(findings, spec);
    name_resolution(findings, spec);
    denied_types(findings, spec);
    if let Some(control) = &spec.access_control {
        access_control(findings, control);
    }
    if let Some(api) = &spec.api {
        protocols(findings, api);
    }
    if let Some(tracing) = &spec.tracing {
        self::tracing(subject, tracing);
    }
    if let Some(secrets) = &spec.secrets {
        self::secrets(subject, secrets);
    }
    for (path, pipeline) in pipelines(spec) {
        handlers(subject, path, pipeline);
    }
}

fn durations(findings: &mut Findings, spec: &ConfigurationSpec) {
    let mtls = spec.mtls.as_ref();
    let otel = spec
        .tracing
        .as_ref()
        .and_then(|tracing| tracing.otel.as_ref());
    let retention = spec
        .workflow
        .as_ref()
        .and_then(|workflow| workflow.state_retention_policy.as_ref());
    let units = |metrics: &Option<trilby_crds::MetricSpec>| {
        let workflow = metrics.as_ref()?.workflow.as_ref()?;
        workflow.latency_distribution_units.clone()
    };
    for (path, text) in [
        (
            "spec.mtls.workloadCertTTL",
            mtls.and_then(|mtls| mtls.workload_cert_ttl.clone()),
        ),
        (
            "spec.mtls.allowedClockSkew",
            mtls.and_then(|mtls| mtls.allowed_clock_skew.clone()),
        ),
        (
            "spec.tracing.otel.timeout",
            otel.and_then(|otel| otel.timeout.clone()),
        ),
        (
            "spec.metric.workflow.latencyDistributionUnits",
            units(&spec.metric),
        ),
        (
            "spec.metrics.workflow.latencyDistributionUnits",
            units(&spec.metrics),
        ),
        (
            "spec.workflow.stateRetentionPolicy.anyTerminal",
            retention.and_then(|r| r.any_terminal.clone()),
        ),
        (
            "spec.workflow.stateRetentionPolicy.completed",
            retention.and_then(|r| r.completed.clone()),
        ),
        (
            "spec.workflow.stateRetentionPolicy.failed",
            retention.and_then(|r| r.failed.clone()),
        ),
        (
            "spec.workflow.stateRetentionPolicy.terminated",
            retention.and_then(|r| r.terminated.clone()),
        ),
    ] {
        if let Some(Err(error)) = text.as_deref().map(parse_duration) {
            findings.error(path, || error.to_string());
        }
    }
}

/// The API server sets `metrics.enabled` where nobody does, and what `metrics` sets wins.
fn metrics(findings: &mut Findings, spec: &ConfigurationSpec) {
    let enabled = |metrics: &Option<trilby_crds::MetricSpec>| {
        metrics.as_ref().and_then(|metrics| metrics.enabled)
    };
    if enabled(&spec.metric) == Some(false) && enabled(&spec.metrics) == Some(true) {
        findings.error("spec.metric.enabled", || {
            "has no effect: metrics.enabled is true unless it is set, and wins; set metrics.enabled".to_owned()
        });
    }
    for (path, metrics) in [
        ("spec.metric", &spec.metric),
        ("spec.metrics", &spec.metrics),
    ] {
        let buckets = metrics
            .as_ref()
            .and_then(|metrics| metrics.latency_distribution_buckets.as_ref());
        if buckets.is_some_and(|buckets| !buckets.is_sorted_by(|one, next| one < next)) {
            findings.error(format!("{path}.latencyDistributionBuckets"), || {
                "is not in ascending order".to_owned()
            });
        }
    }
}

fn features(findings: &mut Findings, spec: &ConfigurationSpec) {
    for feature in spec
        .features
        .iter()
        .filter(|feature| !FEATURES.contains(&feature.name.as_str()))
    {
        findings.notice(format!("spec.features[{}]", feature.name), || {
            let nearest = suggestion(&nearest(&feature.name, FEATURES));
            format!("is no feature of this version of Dapr{nearest}")
        });
    }
}

fn name_resolution(findings: &mut Findings, spec: &ConfigurationSpec) {
    let Some(resolution) = &spec.name_resolution else {
        return;
    };
    let lower = resolution.component.to_lowercase();
    let name = lower.strip_prefix("nameresolution.").unwrap_or(&lower);
    let known = |names: &[String]| names.iter().any(|known| known == name);
    if name.is_empty() || known(&CATALOGUE.resolvers) {
        return;
    }
    findings.error("spec.nameResolution.component", || {
        match known(&CATALOGUE.absent_resolvers) {
            true => format!("{name} is known to Dapr, but not in this version of Trilby"),
            false => {
                let nearest = suggestion(&nearest(name, &CATALOGUE.resolvers));
                format!("{name} is no name resolver{nearest}")
            }
        }
    });
}

fn denied_types(findings: &mut Findings, spec: &ConfigurationSpec) {
    for denied in spec
        .components
        .iter()
        .flat_map(|components| &components.deny)
    {
        let name = denied.split('/').next().unwrap_or_default();
        if matches!(CATALOGUE.find(name, ""), Lookup::Unknown | Lookup::NoBlock) {
            findings.notice(format!("spec.components.deny[{denied}]"), || {
                format!(
                    "is no known component type{}",
                    suggestion(&CATALOGUE.nearest(name))
                )
            });
        }
    }
}

/// Whatever is no word of these is taken for `deny`, or for nothing at all.
fn action(findings: &mut Findings, path: String, text: &str) {
    if !["allow", "deny"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
    {
        findings.error(path, || format!("is {text:?}, expected allow or deny"));
    }
}

fn access_control(findings: &mut Findings, control: &AccessControlSpec) {
    const PATH: &str = "spec.accessControl";
    if let Some(text) = control
        .default_action
        .as_deref()
        .filter(|text| !text.is_empty())
    {
        action(findings, format!("{PATH}.defaultAction"), text);
    }
    for policy in &control.policies {
        let path = format!("{PATH}.policies[{}]", policy.app_id);
        if let Some(text) = &policy.default_action {
            action(findings, format!("{path}.defaultAction"), text);
        }
        for operation in &policy.operations {
            action(
                findings,
                format!("{path}.operations[{}].action", operation.name),
                &operation.action,
            );
        }
    }
}

fn protocols(findings: &mut Findings, api: &ApiSpec) {
    for (path, rules) in [
        ("spec.api.allowed", &api.allowed),
        ("spec.api.denied", &api.denied),
    ] {
        for rule in rules {
            let protocol = rule.protocol.as_deref().unwrap_or("http");
            if !["http", "grpc"].contains(&protocol) {
                findings.error(format!("{path}[{}].protocol", rule.name), || {
                    format!("is {protocol:?}, expected http or grpc")
                });
            }
        }
    }
}

fn tracing(subject: &mut Subject<'_>, tracing: &TracingSpec) {
    let rate = &tracing.sampling_rate;
    let is_rate = rate
        .parse::<f64>()
        .is_ok_and(|rate| (0.0..=1.0).contains(&rate));
    if !(rate.is_empty() || is_rate) {
        subject.findings.error("spec.tracing.samplingRate", || {
            format!("is {rate:?}, expected a number from 0 to 1")
        });
    }
    let Some(otel) = &tracing.otel else { return };
    if !["", "grpc", "http"].contains(&otel.protocol.as_str()) {
        subject.findings.error("spec.tracing.otel.protocol", || {
            format!("is {:?}, expected grpc or http", otel.protocol)
        });
    }
    pairs::names(
        &mut subject.findings,
        (HEADERS, &otel.headers),
        str::to_lowercase,
    );
    subject.pairs("", HEADERS, &otel.headers);
    let without_key = otel
        .headers
        .iter()
        .filter(|header| header.secret().is_some_and(|secret| secret.key.is_none()));
    for header in without_key {
        subject.findings.error(pairs::path(HEADERS, header), || {
            "needs a key in its secretKeyRef".to_owned()
        });
    }
}

fn secrets(subject: &mut Subject<'_>, secrets: &SecretsSpec) {
    let mut seen = HashSet::new();
    for scope in &secrets.scopes {
        let path = format!("spec.secrets.scopes[{}]", scope.store_name);
        if !seen.insert(&scope.store_name) {
            subject
                .findings
                .error(&path, || "is given more than once".to_owned());
        }
        if let Some(access) = &scope.default_access {
            action(
                &mut subject.findings,
                format!("{path}.defaultAccess"),
                access,
            );
        }
        if matches!(subject.facts.components.get(&scope.store_name), Some(None)) {
            subject.findings.notice(format!("{path}.storeName"), || {
                format!(
                    "there is no Component {:?} in this namespace",
                    scope.store_name
                )
            });
        }
    }
}

fn handlers(subject: &mut Subject<'_>, pipeline: &str, spec: &PipelineSpec) {
    for handler in &spec.handlers {
        let path = format!("{pipeline}.handlers[{}]", handler.name);
        let (name, version) = (
            &handler.type_,
            handler.version.as_deref().unwrap_or_default(),
        );
        match CATALOGUE.find(name, version) {
            Lookup::Known(_) => {}
            Lookup::Absent => subject.findings.error(format!("{path}.type"), || {
                format!("{name} is known to Dapr, but not in this version of Trilby")
            }),
            Lookup::OtherVersions(versions) => {
                subject.findings.error(format!("{path}.version"), || {
                    format!(
                        "{version:?} is no version of {name}: it has {}",
                        versions.join(", ")
                    )
                })
            }
            Lookup::Unknown | Lookup::NoBlock => {
                subject.findings.error(format!("{path}.type"), || {
                    format!(
                        "{name} is no known type{}",
                        suggestion(&CATALOGUE.nearest(name))
                    )
                })
            }
        }
        let text = match subject.facts.components.get(&handler.name) {
            Some(None) => "names a Component that does not exist in this namespace".to_owned(),
            Some(Some(found)) if !found.eq_ignore_ascii_case(name) => {
                format!("names a Component that is no {name} but {found}")
            }
            Some(Some(_)) | None => continue,
        };
        subject.findings.error(path, || text);
    }
}
