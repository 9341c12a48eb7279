//! What operators, files, applications and command lines say.

use http::{Method, StatusCode};
use serde_json::Value;
use tokio::time::Instant;
use trilby_actors::{AppConfig, HostedActors};
use trilby_bootstrap::Exposition as _;
use trilby_bootstrap::args::parse_from;
use trilby_crds::{Component, Configuration, ConfigurationSpec};
use trilby_operator::{Strictness, answer_without_facts};
use trilby_sidecar::acl::{AccessControl, Attempt, OperationSpec, PolicySpec, Protocol, Spec};
use trilby_sidecar::metrics::{Metrics, Served, Settings, Sizes};
use trilby_sidecar_args::SidecarArgs;

use crate::text;

/// A manifest that is accepted is accepted as it is written again.
pub(crate) fn manifest(data: &[u8]) {
    if let Ok(component) = serde_json::from_slice::<Component>(data) {
        let written = serde_json::to_vec(&component).expect("a manifest can be written");
        let again: Component = serde_json::from_slice(&written).expect("and read again");
        assert_eq!(again, component);
    }
    if let Ok(configuration) = serde_json::from_slice::<Configuration>(data) {
        let written = serde_json::to_vec(&configuration).expect("a manifest can be written");
        serde_json::from_slice::<Configuration>(&written).expect("and read again");
    }
}

/// A review of a resource: whatever it says, its answer is one that the API server takes.
pub(crate) fn review(data: &[u8]) {
    for strictness in [Strictness::Warn, Strictness::Strict] {
        let Some(answer) = answer_without_facts(data, strictness) else {
            continue;
        };
        let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
        let response = &answer["response"];
        let allowed = response["allowed"].as_bool().expect("an answer decides");
        assert!(
            allowed || strictness == Strictness::Strict,
            "warnings refuse nothing"
        );
        assert_eq!(allowed, response["status"].is_null());
        let warnings = response["warnings"].as_array().into_iter().flatten();
        let lengths = warnings.map(|warning| {
            let text = warning.as_str().expect("a warning is a text");
            assert!(!text.contains(char::is_control), "{text:?}");
            text.len()
        });
        let lengths: Vec<usize> = lengths.collect();
        assert!(lengths.iter().all(|length| *length <= 256));
        assert!(lengths.iter().sum::<usize>() <= 4096);
    }
}

/// Flags, one a line.
pub(crate) fn flags(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let flags = text.lines().map(str::to_owned);
    let args = std::iter::once("daprd".to_owned()).chain(flags);
    // Help and refusals are errors as well.
    drop(parse_from::<SidecarArgs>(args));
}

/// An application's configuration.
pub(crate) fn app_config(data: &[u8]) {
    let dissemination = std::time::Duration::from_secs(30);
    if let Ok(config) = AppConfig::from_json(data)
        && let Ok(hosted) = HostedActors::new(&config, dissemination)
    {
        let count = hosted.types().count();
        assert!(count <= config.entities.len());
    }
}

/// The pattern of an operation in the first line, a method in the second: no policy may change its mind.
pub(crate) fn access_control(data: &[u8]) {
    let Some((pattern, operation)) = text(data).and_then(|text| text.split_once('\n')) else {
        return;
    };
    for protocol in [Protocol::Http, Protocol::Grpc] {
        let policy = PolicySpec {
            app_id: "caller".to_owned(),
            namespace: "default".to_owned(),
            trust_domain: "public".to_owned(),
            default_action: "deny".to_owned(),
            operations: vec![OperationSpec {
                name: pattern.to_owned(),
                verbs: vec!["*".to_owned()],
                action: "allow".to_owned(),
            }],
        };
        let spec = Spec {
            default_action: Some("deny".to_owned()),
            policies: vec![policy],
        };
        let rules = AccessControl::compile(&spec, protocol).expect("the policy is complete");
        let caller = "spiffe://public/ns/default/caller".parse();
        let caller = caller.expect("the identity is one");
        let attempt = Attempt {
            caller: Some(&caller),
            operation,
            verb: Some("GET"),
        };
        assert_eq!(rules.decide(&attempt), rules.decide(&attempt));
    }
}

/// A Configuration in the first line, a path in the second: whatever is counted can be scraped.
pub(crate) fn metrics(data: &[u8]) {
    let Some((spec, path)) = text(data).and_then(|text| text.split_once('\n')) else {
        return;
    };
    let Ok(spec) = serde_json::from_str::<ConfigurationSpec>(spec) else {
        return;
    };
    let Ok(settings) = Settings::new(&spec) else {
        return;
    };
    let metrics = Metrics::new("app", "default", &settings);
    let served = Served {
        method: &Method::GET,
        path,
        status: StatusCode::OK,
        sizes: Sizes::default(),
    };
    metrics.http_server().served(&served, Instant::now());
    for piece in metrics.pieces() {
        let piece = std::str::from_utf8(&piece).expect("the format is text");
        for line in piece.lines() {
            let value = line.rsplit(' ').next().unwrap_or_default();
            assert!(
                line.starts_with('#') || value.parse::<f64>().is_ok(),
                "{line:?}"
            );
        }
    }
}
