//! What a Configuration demands of the APIs: compiled here, and refused where it could not be enforced.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trilby_bootstrap::Process;
use trilby_crds::{AccessControlSpec, ApiAccessRule, ApiSpec, ConfigurationSpec};
use trilby_resources::Resources;
use trilby_sidecar_args::AppProtocol;

use super::described;
use crate::acl::{AccessControl, OperationSpec, PolicySpec, Protocol, Spec};
use crate::api::http::ApiLogging;
use crate::api::internal::Rules;
use crate::api::{ApiRules, Rule, RuleProtocol};
use crate::blocks::secrets::Scopes;
use crate::config::Config;
use crate::environment::Environment;
use crate::live::Live;
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

/// What the APIs do by the Configuration, as it is now. Cheap to clone.
#[derive(Clone)]
pub(super) struct Followed {
    /// Who may call the application.
    pub(super) access: Rules,
    /// Which APIs exist.
    pub(super) apis: Live<ApiRules>,
    /// What is logged of calls.
    pub(super) logging: Live<ApiLogging>,
    /// Which secrets may be read.
    pub(super) secrets: Live<Scopes>,
}

/// Compiles the Configuration, and again at each of its changes. A part that cannot be enforced leaves the old one in
/// force and says so.
///
/// # Errors
/// The first one cannot be enforced.
pub(super) fn follow(
    process: &Process,
    resources: &Resources,
    config: &Config,
) -> anyhow::Result<Followed> {
    let mut configurations = resources.configuration();
    let first = Arc::clone(&configurations.borrow_and_update());
    let (protocol, flag) = (protocol(config), config.servers.api_logging);
    let access = compile(&first, protocol).context("the Configuration's spec.accessControl")?;
    let scopes = Scopes::new(first.secrets.as_ref()).context("the Configuration's spec.secrets")?;
    let (publish, access) = watch::channel(Arc::new(access));
    let followed = Followed {
        access,
        apis: Live::new(api_rules(&first)),
        logging: Live::new(described::api_logging(flag, &first)),
        secrets: Live::new(scopes),
    };
    let (following, shutdown) = (followed.clone(), process.shutdown());
    process.spawn("configuration", async move {
        while let Some(changed) = next(&mut configurations, &shutdown).await {
            match compile(&changed, protocol) {
                Ok(compiled) => drop(publish.send_replace(Arc::new(compiled))),
                Err(error) => tracing::error!(%error, "changed access control is refused, the old one stays in force"),
            }
            following.change(&changed, described::api_logging(flag, &changed));
        }
        Ok(())
    });
    Ok(followed)
}

impl Followed {
    fn change(&self, changed: &ConfigurationSpec, logging: ApiLogging) {
        match Scopes::new(changed.secrets.as_ref()) {
            Ok(scopes) => self.secrets.set(scopes),
            Err(error) => {
                tracing::error!(%error, "changed secret scopes are refused, the old ones stay in force")
            }
        }
        self.apis.set(api_rules(changed));
        self.logging.set(logging);
    }
}

/// The next Configuration; `None` when the process ends.
async fn next(
    configurations: &mut watch::Receiver<Arc<ConfigurationSpec>>,
    shutdown: &CancellationToken,
) -> Option<Arc<ConfigurationSpec>> {
    let changed = shutdown
        .run_until_cancelled(configurations.changed())
        .await?;
    if changed.is_err() {
        // Without a named Configuration there is nothing to follow.
        shutdown.cancelled().await;
        return None;
    }
    Some(Arc::clone(&configurations.borrow_and_update()))
}

/// How access control reads the application's operations.
fn protocol(config: &Config) -> Protocol {
    match config.app.as_ref().map(|app| app.protocol) {
        Some(AppProtocol::Grpc | AppProtocol::Grpcs) => Protocol::Grpc,
        _ => Protocol::Http,
    }
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
        default_action: spec.default_action.clone(),
        policies: policies.collect(),
    }
}

/// Which APIs exist. A rule without a protocol holds for both; upstream passes over it.
fn api_rules(configuration: &ConfigurationSpec) -> ApiRules {
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
