//! The main path, line by line.

use std::pin::Pin;

use anyhow::Result;

use crate::evidence::Evidence;
use crate::scene::Scene;
use crate::{actors, components, identities, injection, installation, invocation, reload, state};

type Showing<'a> = Pin<Box<dyn Future<Output = Result<Evidence>> + 'a>>;

/// One line of the path. Each relies on those before it.
#[derive(Clone, Copy)]
pub struct Step {
    /// What it does and shows.
    pub title: &'static str,
    show: for<'a> fn(&'a Scene) -> Showing<'a>,
}

impl Step {
    /// Does it.
    ///
    /// # Errors
    /// If something is not as it should be; the text says what.
    pub async fn show(&self, scene: &Scene) -> Result<Evidence> {
        (self.show)(scene).await
    }
}

/// All of it, in order.
pub const STEPS: &[Step] = &[
    Step {
        title: "helm installs the control plane, and it becomes ready",
        show: |scene| Box::pin(installation::show(scene)),
    },
    Step {
        title: "two state stores and a configuration are applied; a password comes from a Secret",
        show: |scene| Box::pin(components::show(scene)),
    },
    Step {
        title: "two annotated deployments come up with a sidecar in each pod",
        show: |scene| Box::pin(injection::show(scene)),
    },
    Step {
        title: "each sidecar has an identity of its own from sentry",
        show: |scene| Box::pin(identities::show(scene)),
    },
    Step {
        title: "one app calls the other over HTTP and gRPC; between the sidecars is mutual TLS",
        show: |scene| Box::pin(invocation::show(scene)),
    },
    Step {
        title: "state is saved and read; in Redis it has upstream's layout",
        show: |scene| Box::pin(state::show(scene)),
    },
    Step {
        title: "components are changed, added, broken and deleted under running apps",
        show: |scene| Box::pin(reload::show(scene)),
    },
    Step {
        title: "a hundred actors have one host each, and move when it goes away",
        show: |scene| Box::pin(actors::show(scene)),
    },
];
