//! What happens to resources, as they tell it.

use trilby_resources::{Observer, Step};

use super::components::{ComponentMetrics, StartFailure};

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
}
