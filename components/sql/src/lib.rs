//! What state stores and bindings over SQL servers share, whoever made the server.
//!
//! [`plan`](mod@plan) makes statements with guards of a transaction, [`attempts`] carries out a request within its limit, [`Cleaning`]
//! removes what has expired, [`Page`] lists keys, [`bulk`] answers many reads at once,
//! [`request`] is what bindings are asked for. Deliberately absent: statements,
//! connections, and everything else that one server has its own way with.

pub mod attempts;
pub mod bulk;
mod cleaning;
mod interval;
mod page;
pub mod plan;
pub mod request;

pub use cleaning::Cleaning;
pub use interval::Interval;
pub use page::{Page, escaped};
