//! Consul for every building block it can serve; today that is name resolution.
//!
//! ```text
//! configuration ─► shape ─► settings ─► agent (HTTP)
//!                                         │  health of a service ─► instances ─► an address
//!                                         └─ registration, looked after by the resolver
//! ```
//!
//! [`shape`] knows upstream's settings and what they are called on the wire, [`settings`] what they mean,
//! [`agent`] the requests, [`query`] how questions are asked, [`instances`] what the answers say; [`watched`] is
//! the local registry that `useCache` asks for, and [`resolver`] puts them together.
//!
//! Deliberately absent: sockets of the Unix domain as the agent's address.

mod agent;
mod environment;
mod instances;
mod query;
mod registration;
mod resolver;
mod settings;
mod shape;
mod watched;

use std::sync::Arc;

use trilby_components::name_resolution::{NameResolver, ResolverBackend};

use environment::process_variable;

pub use resolver::ConsulResolver;

/// The resolver of this crate.
#[must_use]
pub fn resolvers() -> Vec<ResolverBackend> {
    let consul = ResolverBackend::new("hashicorp.consul", async |instance, settings| {
        let resolver = ConsulResolver::new(&instance, &settings, process_variable).await?;
        Ok(Arc::new(resolver) as Arc<dyn NameResolver>)
    });
    vec![consul.aliases(&["consul"])]
}
