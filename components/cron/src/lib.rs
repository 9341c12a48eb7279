//! `bindings.cron`: events at times of the clock, with upstream's syntax of schedules.
//!
//! [`Spec`] reads a schedule and [`Times`] computes its next time: both are pure. [`CronBinding`] waits, and hands events
//! over.
//!
//! Deliberately absent: any agreement among replicas (each has its own events), and memory of events that were missed.

mod binding;
mod field;
mod spec;
mod times;
mod zone;

use std::sync::Arc;

use trilby_components::{
    binding::Binding,
    definition::Definition,
    registry::{Backend, Block},
};

pub use binding::CronBinding;
pub use spec::{InvalidSpec, Rhythm, Spec};
pub use times::Times;

/// The binding.
#[must_use]
pub fn backends() -> Vec<Backend> {
    vec![Backend::binding("cron", async |_, metadata| {
        let binding = CronBinding::new(&metadata).await?;
        Ok(Binding {
            input: Some(Arc::new(binding)),
            output: None,
        })
    })]
}

/// What it takes and can do.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    let cron = Definition::new(Block::Binding, "cron").taking::<binding::Settings>();
    vec![cron.capable_of(&["INPUT_BINDING"])]
}
