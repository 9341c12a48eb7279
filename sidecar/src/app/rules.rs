//! What a Configuration demands of the APIs: compiled here, and refused where it could not be enforced.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::watch;
use trilby_bootstrap::Process;
use trilby_crds::{AccessControlSpec, ApiAccessRule, ApiSpec, ConfigurationSpec};
use trilby_resources::Resources;

use crate::acl::{AccessControl, OperationSpec, PolicySpec, Protocol, Spec};
use crate::api::internal::Rules;
use crate::api::{ApiRules, Rule, RuleProtocol};
use crate::blocks::secrets;
use crate::environment::Environment;
use crate::tokens::{ApiToken, TokenFile};

/// The tokens of which callers of the APIs must show one. A file of them is followed.
///
/// # Errors
/// The file cannot be used.
pub(super) fn api_token(process: &Process, environment: &Environment) -> anyhow::Result<ApiToken> {
    let token = ApiToken::new(&environment.api_token);
    if let Some(path) = &environment.api_token_file {
        let file = TokenFile::open(path.clone(), token.clone())?;
        let shutdown = process.shutdown();
        process.spawn("api-token-file", async move {
            file.follow(shutdown).await;
            Ok(())
        });
    }
    Ok(token)
}

/// Refuses a Configuration whose security this build cannot enforce.
///
/// # Errors
/// Names the part.
pub(super) fn check(configuration: &ConfigurationSpec) -> anyhow::Result<()> {
    secrets::validate(configuration.secrets.as_ref()).context("the Configuration's spec.secrets")
}

/// The access control in force; it follows the Configuration. A change that cannot be enforced leaves the old one
/// in force and says so.
///
/// # Errors
/// The first one cannot be enforced.
pub(super) fn access_control(
    process: &Process,
    resources: &Resources,
    protocol: Protocol,
) -> anyhow::Result<Rules> {
    let mut configurations = resources.configuration();
    let first = compile(&configurations.borrow_and_update(), protocol)
        .context("the Configuration's spec.accessControl")?;
    let (publish, rules) = watch::channel(Arc::new(first));
    let shutdown = process.shutdown();
    process.spawn("access-control", async move {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                changed = configurations.changed() => if changed.is_err() {
                    // Without a named Configuration there is nothing to follow.
                    shutdown.cancelled().await;
                    return Ok(());
                },
            }
            match compile(&configurations.borrow_and_update(), protocol) {
                Ok(compiled) => drop(publish.send_replace(Arc::new(compiled))),
                Err(error) => tracing::error!(%error, "changed access control is refused, the old one stays in force"),
            }
        }
    });
    Ok(rules)
}

fn compile(
    configuration: &ConfigurationSpec,
    protocol: Protocol,
) -> Result<Option<AccessControl>, crate::acl::InvalidSpec> {
    let spec = configuration.access_control.as_ref();
    spec.map(|spec| AccessControl::compile(&written(spec), protocol))
        .transpose()
}

fn written(spec: &AccessControlSpec) -> Spec {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let policies = spec.policies.iter().map(|policy| PolicySpec {
        app_id: policy.app_id.clone(),
        namespace: text(&policy.namespace),
        trust_domain: text(&policy.trust_domain),
        default_action: text(&policy.default_action),
        operations: policy
            .operations
            .iter()
            .map(|operation| OperationSpec {
                name: operation.name.clone(),
                verbs: operation.http_verb.clone(),
                action: operation.action.clone(),
            })
            .collect(),
    });
    Spec {
        default_action: text(&spec.default_action),
        policies: policies.collect(),
    }
}

/// Which APIs exist.
pub(super) fn api_rules(configuration: &ConfigurationSpec) -> ApiRules {
    let Some(ApiSpec {
        allowed, denied, ..
    }) = &configuration.api
    else {
        return ApiRules::default();
    };
    ApiRules {
        allowed: allowed.iter().map(rule).collect(),
        denied: denied.iter().map(rule).collect(),
    }
}

/// A protocol that is neither HTTP nor gRPC is taken as both, so that a misspelt denial still denies.
fn rule(rule: &ApiAccessRule) -> Rule {
    let protocol = match rule.protocol.as_deref() {
        Some("http") => Some(RuleProtocol::Http),
        Some("grpc") => Some(RuleProtocol::Grpc),
        _ => None,
    };
    Rule {
        name: rule.name.clone(),
        version: rule.version.clone(),
        protocol,
    }
}
