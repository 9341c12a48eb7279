//! Keeps the middleware pipelines as the Configuration and the live components say.

use trilby_bootstrap::Process;
use trilby_crds::{ConfigurationSpec, PipelineSpec};
use trilby_resources::Resources;

use crate::pipeline::{Pipeline, Skipped, build};

/// Both pipelines; they change while the sidecar runs.
pub(super) struct Pipelines {
    /// Around the HTTP API.
    pub server: Pipeline,
    /// Around HTTP calls to the application.
    pub app: Pipeline,
}

/// Builds both pipelines, and rebuilds them with every change on a task of the process.
pub(super) fn follow(process: &Process, resources: &Resources) -> Pipelines {
    let mut followed = Both {
        server: Followed::new("httpPipeline"),
        app: Followed::new("appHttpPipeline"),
    };
    let pipelines = Pipelines {
        server: followed.server.pipeline.clone(),
        app: followed.app.pipeline.clone(),
    };
    // Before the first look, so that nothing falls between the two.
    let (mut configurations, mut changes) = (resources.configuration(), resources.changes());
    followed.update(&configurations.borrow_and_update(), resources);
    let (resources, shutdown) = (resources.clone(), process.shutdown());
    process.spawn("pipelines", async move {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                Ok(()) = configurations.changed() => {}
                Ok(()) = changes.changed() => {}
            }
            followed.update(&configurations.borrow_and_update(), &resources);
        }
    });
    pipelines
}

struct Both {
    server: Followed,
    app: Followed,
}

impl Both {
    fn update(&mut self, configuration: &ConfigurationSpec, resources: &Resources) {
        let server = configuration.http_pipeline.as_ref();
        self.server.update(server, resources);
        let app = configuration.app_http_pipeline.as_ref();
        self.app.update(app, resources);
    }
}

/// One pipeline, and what was said about it last.
struct Followed {
    name: &'static str,
    pipeline: Pipeline,
    skipped: Vec<Skipped>,
}

impl Followed {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            pipeline: Pipeline::default(),
            skipped: Vec::new(),
        }
    }

    fn update(&mut self, spec: Option<&PipelineSpec>, resources: &Resources) {
        let (handlers, skipped) = build(spec, |handler| {
            let version = handler.version.as_deref().unwrap_or_default();
            resources.middleware(&handler.name, &handler.type_, version)
        });
        let count = handlers.len();
        if self.pipeline.swap(handlers) {
            tracing::info!(pipeline = self.name, handlers = count, "pipeline built");
        }
        if skipped != self.skipped {
            skipped.iter().for_each(|skipped| self.warn(skipped));
            self.skipped = skipped;
        }
    }

    fn warn(&self, skipped: &Skipped) {
        let pipeline = self.name;
        match skipped {
            Skipped::Absent { name, type_name } => tracing::warn!(
                pipeline,
                middleware = name,
                middleware_type = type_name,
                "the pipeline names a middleware that is not loaded: requests pass without it"
            ),
            Skipped::Failing { name, reason } => tracing::error!(
                pipeline,
                middleware = name,
                reason,
                "a middleware of the pipeline does not serve: requests are refused until it does"
            ),
        }
    }
}
