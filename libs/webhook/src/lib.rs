//! What webhooks of the API server have in common.
//!
//! The API server calls them over HTTPS, and verifies them with the `caBundle` that stands in an object beside their
//! address. [`serve`] is the server, [`Keeper`] keeps the bundle true. What is asked and answered is the service's own.

mod complaint;
mod keeper;
mod request;
mod server;

pub use complaint::Complaint;
pub use keeper::{Keeper, Sight, Target};
pub use request::{Refusal, read};
pub use server::{Server, serve};
