//! What happens to resources, as they tell it.

use trilby_resources::{Asked, Observer, Step};

use super::body::Sizes;
use super::components::{ComponentMetrics, StartFailure};
use super::grpc::{Completed, GrpcClientMetrics};

impl Observer for ComponentMetrics {
    fn initialised(&self, component_type: &str) {
        self.started(component_type);
    }

    fn failed(&self, component_type: &str, step: Step, name: &str) {
        let failure = match step {
            Step::Creation => StartFailure::Creation,
            Step::Init => StartFailure::Init,
        };
        ComponentMetrics::failed(self, component_type, name, failure);
    }

    fn unusable(&self, kind: &str) {
        ComponentMetrics::unusable(self, kind);
    }

    fn asked(&self, asked: &Asked) {
        let call = Completed {
            method: asked.method,
            status: asked.status,
            sizes: Some(Sizes {
                request: asked.request as u64,
                response: asked.response as u64,
            }),
        };
        GrpcClientMetrics(self.0.clone()).called(&call, asked.since);
    }
}
