//! Components that are processes of their own: their sockets are looked for as long as components are in use.

use trilby_bootstrap::Process;
use trilby_components::registry::Registry;

use super::Ending;
use crate::config::Config;

/// The registry with the types of such components, which come and go.
#[cfg(feature = "pluggable")]
pub(super) fn start(
    config: &Config,
    registry: Registry,
    (process, ending): (&Process, &Ending),
) -> Registry {
    let Some(folder) = &config.environment.component_sockets else {
        return registry;
    };
    let (components, running) =
        trilby_components_pluggable::host(folder.clone(), ending.closing.clone());
    process.spawn("pluggable components", async move {
        running.await;
        Ok(())
    });
    registry.with_source(components)
}

/// This build has none.
#[cfg(not(feature = "pluggable"))]
pub(super) fn start(_: &Config, registry: Registry, _: (&Process, &Ending)) -> Registry {
    registry
}
