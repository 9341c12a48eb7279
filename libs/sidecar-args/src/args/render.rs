//! From the typed command line back to text, in the order the injector has always written it.
//!
//! Tools scan a container's arguments for `--app-id` and take the next item: an option and its value are two
//! arguments, and only booleans carry theirs behind `=`.

use std::fmt::Display;

use super::SidecarArgs;
use crate::CommaList;

impl SidecarArgs {
    /// The arguments that parse to this value. The injector's come first and in its order; the rest follows where
    /// it differs from the default.
    #[must_use]
    pub fn render(&self) -> Vec<String> {
        let mut out = Rendered::default();
        self.basics(&mut out);
        self.addresses(&mut out);
        self.app_and_metrics(&mut out);
        self.services(&mut out);
        self.health_check(&mut out);
        self.switches(&mut out);
        self.sizes(&mut out);
        self.durations_and_scheduler(&mut out);
        self.outside_injection(&mut out);
        out.0
    }

    fn basics(&self, out: &mut Rendered) {
        let (api, app) = (&self.api, &self.app);
        out.option("--dapr-http-port", api.dapr_http_port);
        out.option("--dapr-grpc-port", api.dapr_grpc_port);
        out.option("--dapr-internal-grpc-port", api.dapr_internal_grpc_port);
        out.option("--dapr-listen-addresses", &api.dapr_listen_addresses);
        out.option("--dapr-public-port", api.dapr_public_port);
        out.option("--app-id", &app.app_id);
        out.option("--app-protocol", &app.app_protocol);
        out.option("--log-level", &self.observability.log_level);
        out.option(
            "--dapr-graceful-shutdown-seconds",
            self.process.dapr_graceful_shutdown_seconds,
        );
    }

    fn addresses(&self, out: &mut Rendered) {
        out.option("--mode", self.mode);
        out.option(
            "--control-plane-address",
            &self.control_plane.control_plane_address,
        );
        out.option("--sentry-address", &self.control_plane.sentry_address);
    }

    fn app_and_metrics(&self, out: &mut Rendered) {
        if self.app.app_port > 0 {
            out.option("--app-port", self.app.app_port);
        }
        if self.observability.enable_metrics {
            out.switch("--enable-metrics", true);
            out.option("--metrics-port", self.observability.metrics_port);
        } else {
            // Upstream says nothing here, and its sidecar then serves metrics all the same.
            out.flag("--enable-metrics=false");
        }
        out.lists("--config", &self.resources.config);
        out.unless(
            "--app-channel-address",
            &self.app.app_channel_address,
            "127.0.0.1",
        );
    }

    fn services(&self, out: &mut Rendered) {
        let plane = &self.control_plane;
        if plane.placement_host_address.is_blank() {
            out.unless("--actors-service", &plane.actors_service, "");
        } else {
            out.option("--placement-host-address", &plane.placement_host_address);
        }
        out.unless("--reminders-service", &plane.reminders_service, "");
        out.lists(
            "--sentry-request-jwt-audiences",
            &plane.sentry_request_jwt_audiences,
        );
        if let Some(enabled) = self.api.enable_api_logging {
            out.flag(format!("--enable-api-logging={enabled}"));
        }
        out.switch(
            "--disable-builtin-k8s-secret-store",
            self.resources.disable_builtin_k8s_secret_store,
        );
    }

    fn health_check(&self, out: &mut Rendered) {
        let health = &self.app.health;
        if !health.enable_app_health_check {
            return;
        }
        out.switch("--enable-app-health-check", true);
        out.option("--app-health-check-path", &health.app_health_check_path);
        out.option(
            "--app-health-probe-interval",
            health.app_health_probe_interval,
        );
        out.option(
            "--app-health-probe-timeout",
            health.app_health_probe_timeout,
        );
        out.option("--app-health-threshold", health.app_health_threshold);
    }

    fn switches(&self, out: &mut Rendered) {
        out.given(
            "--app-binding-options-timeout",
            self.app.app_binding_options_timeout.as_ref(),
        );
        out.switch("--log-as-json", self.observability.log_as_json);
        out.switch("--enable-profiling", self.observability.enable_profiling);
        out.switch("--enable-mtls", self.control_plane.enable_mtls);
        out.switch("--app-ssl", self.app.app_ssl);
        out.given("--app-max-concurrency", self.app.app_max_concurrency);
    }

    fn sizes(&self, out: &mut Rendered) {
        let api = &self.api;
        out.given(
            "--dapr-http-max-request-size",
            api.dapr_http_max_request_size,
        );
        out.given("--max-body-size", api.max_body_size.as_ref());
        out.given(
            "--dapr-http-read-buffer-size",
            api.dapr_http_read_buffer_size,
        );
        out.given("--read-buffer-size", api.read_buffer_size.as_ref());
    }

    fn durations_and_scheduler(&self, out: &mut Rendered) {
        let plane = &self.control_plane;
        out.unless("--unix-domain-socket", &self.api.unix_domain_socket, "");
        out.given(
            "--dapr-block-shutdown-duration",
            self.process.dapr_block_shutdown_duration.as_ref(),
        );
        out.given(
            "--actors-disseminate-timeout",
            plane.actors_disseminate_timeout.as_ref(),
        );
        out.lists("--scheduler-host-address", &plane.scheduler_host_address);
        out.lists(
            "--disable-init-endpoints",
            &self.resources.disable_init_endpoints,
        );
    }

    /// What the injector never sets, or leaves out beside something else.
    fn outside_injection(&self, out: &mut Rendered) {
        self.outside_injection_addresses(out);
        let (resources, plane) = (&self.resources, &self.control_plane);
        out.lists("--resources-path", &resources.resources_path);
        out.unless("--components-path", &resources.components_path, "");
        out.given(
            "--hot-reload-reconcile-interval",
            resources.hot_reload_reconcile_interval.as_ref(),
        );
        out.unless(
            "--control-plane-trust-domain",
            &plane.control_plane_trust_domain,
            "localhost",
        );
        out.unless(
            "--control-plane-namespace",
            &plane.control_plane_namespace,
            "default",
        );
        out.unless("--scheduler-job-streams", &plane.scheduler_job_streams, "3");
        let observability = &self.observability;
        out.unless("--profile-port", &observability.profile_port, "7777");
        out.unless("--log-file", &observability.log_file, "");
        out.unless(
            "--metrics-listen-address",
            &observability.metrics_listen_address,
            "0.0.0.0",
        );
        out.switch("--version", self.process.version);
        out.switch("--build-info", self.process.build_info);
        out.switch("--wait", self.process.wait);
    }

    fn outside_injection_addresses(&self, out: &mut Rendered) {
        let api = &self.api;
        out.unless(
            "--dapr-internal-grpc-listen-address",
            &api.dapr_internal_grpc_listen_address,
            "",
        );
        out.unless(
            "--dapr-public-listen-address",
            &api.dapr_public_listen_address,
            "",
        );
        out.unless("--allowed-origins", &api.allowed_origins, "");
    }
}

/// Arguments in the order written.
#[derive(Default)]
struct Rendered(Vec<String>);

impl Rendered {
    fn flag(&mut self, flag: impl Into<String>) {
        self.0.push(flag.into());
    }

    fn switch(&mut self, name: &str, on: bool) {
        if on {
            self.flag(name);
        }
    }

    fn option(&mut self, name: &str, value: impl Display) {
        self.0.extend([name.to_owned(), value.to_string()]);
    }

    fn given(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.option(name, value);
        }
    }

    fn unless(&mut self, name: &str, value: &impl Display, default: &str) {
        let value = value.to_string();
        if value != default {
            self.option(name, value);
        }
    }

    fn lists(&mut self, name: &str, lists: &[CommaList]) {
        for list in lists {
            self.option(name, list);
        }
    }
}
