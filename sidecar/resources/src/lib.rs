//! The sidecar's resources: from the operator's stream, or from disk, to live components that are swapped
//! while the sidecar runs.
//!
//! ```text
//! source::{operator, disk} ─events─▶ updater (pure: what to start, swap, retire) ─actions─▶ runtime
//!                                                                                   │ initialise: secrets, templates, registry
//!                                                                                   ▼
//!                                            Resources: one immutable view, swapped whole after each change
//! ```
//!
//! Rules that hold throughout:
//! - A new instance is initialised before it takes over; the old one is closed when its last request is done.
//! - What cannot be used (undecodable, denied, failing) stops at itself, is named with its reason in the log
//!   and in [`ComponentInfo::error`], and leaves the instance that serves alone.
//! - What may succeed later is tried again with growing pauses.
//!
//! Deliberately absent: the APIs that use components, vendors, and what a Configuration means beyond
//! `components.deny` and the feature `HotReload`.

mod config;
mod configuration;
mod control;
mod declared;
mod encryption;
mod initialise;
mod instance;
mod kind;
mod ledger;
mod lenient;
mod manifest;
mod observer;
mod properties;
mod redaction;
mod resource;
mod resources;
mod runtime;
mod source;
mod types;
mod updater;
mod view;

pub use config::{Config, Environment, Source};
pub use encryption::{Encryption, EncryptionError};
pub use instance::{
    BindingComponent, ConfigurationComponent, CryptoComponent, LockComponent, MiddlewareComponent,
    PubSubComponent, Scopes, SecretComponent, StateComponent, binding_fields, lock_fields,
    pubsub_fields, state_fields,
};
pub use observer::{Asked, Observer, Silent, Step};
pub use resource::{Followed, Problem, Resource};
pub use resources::{LoadError, Resources};
pub use view::{ComponentInfo, Lookup};
