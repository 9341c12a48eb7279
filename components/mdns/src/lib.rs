//! Name resolution by multicast DNS: sidecars on one link find each other without a directory.
//!
//! What is on the wire is what Dapr's sidecars have always sent, which is DNS-SD but for the form of its names:
//! the type of the service is the application's id (`orders.local.`), the instance `<host>:<pid>.orders.local.`,
//! its TXT record the application's id, its SRV record the port for other sidecars. Libraries refuse a type that
//! is not `_name._tcp`, so this crate speaks DNS itself: [`message`] is the codec, [`service`] what is said of
//! this sidecar, [`cache`] what is known of others, [`links`] the sockets.
//!
//! Deliberately absent: threads, namespaces (the names have no room for them), probing for conflicts (an
//! instance's name holds its process id).

mod cache;
mod links;
mod message;
mod resolver;
mod service;

use std::sync::Arc;

use trilby_components::name_resolution::{NameResolver, ResolverBackend, decode};

pub use resolver::{MdnsResolver, Settings};

/// The resolver of this crate.
#[must_use]
pub fn resolvers() -> Vec<ResolverBackend> {
    vec![ResolverBackend::new("mdns", async |instance, settings| {
        let settings: Settings = decode("mdns", settings)?;
        Ok(Arc::new(MdnsResolver::new(&instance, settings)?) as Arc<dyn NameResolver>)
    })]
}
