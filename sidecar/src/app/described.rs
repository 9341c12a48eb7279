//! What flags and Configuration say in the APIs' own terms.

use trilby_crds::ConfigurationSpec;
use trilby_sidecar_args::AppProtocol;

use crate::api::http::ApiLogging;
use crate::blocks::metadata::{AppConnection, AppHealthCheck};
use crate::config::Config;

/// What is logged of calls to the APIs: the `flag` decides, if given, else the Configuration.
pub(super) fn api_logging(flag: Option<bool>, configuration: &ConfigurationSpec) -> ApiLogging {
    let spec = configuration
        .logging
        .as_ref()
        .and_then(|logging| logging.api_logging.as_ref());
    let asked = flag.or_else(|| spec?.enabled).unwrap_or(false);
    if !asked {
        return ApiLogging::Off;
    }
    ApiLogging::On {
        obfuscate_urls: spec.and_then(|spec| spec.obfuscate_urls).unwrap_or(false),
        omit_health_checks: spec
            .and_then(|spec| spec.omit_health_checks)
            .unwrap_or(false),
    }
}

/// How the application is reached, for the metadata API.
pub(super) fn connection(config: &Config) -> AppConnection {
    let Some(app) = &config.app else {
        return AppConnection {
            port: 0,
            protocol: "http".to_owned(),
            host: "127.0.0.1".to_owned(),
            max_concurrency: 0,
            health: None,
        };
    };
    let is_http = !matches!(app.protocol, AppProtocol::Grpc | AppProtocol::Grpcs);
    AppConnection {
        port: app.port,
        protocol: app.protocol.to_string(),
        host: app.host.clone(),
        max_concurrency: app
            .max_concurrency
            .and_then(|limit| i32::try_from(limit).ok())
            .unwrap_or(0),
        health: app.health.as_ref().map(|health| AppHealthCheck {
            path: if is_http {
                health.path.clone()
            } else {
                String::new()
            },
            interval: health.interval,
            timeout: health.timeout,
            threshold: i32::try_from(health.threshold).unwrap_or(i32::MAX),
        }),
    }
}
