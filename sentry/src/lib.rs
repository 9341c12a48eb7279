//! SPIFFE certificate authority of the mesh.
//!
//! ```text
//! store ──► authority ──► issuer ◄── api ◄── validator ◄── a CSR and a token
//!                │            │
//!                └─ anchors ──┴──► sentry's own certificate
//! ```
//!
//! The [`authority`] keeps the stored documents and the issuer in use the same; the [`validator`]
//! says who a caller is; the [`issuer`] signs what the [`api`] asks of it. No client certificate is
//! ever asked for: callers have none yet, and prove themselves with a token.
//!
//!
//! Beside certificates it issues tokens of the same identity, if asked to, and publishes the keys that verify them
//! ([`oidc`]).

mod api;
mod app;
mod args;
mod authority;
mod bundle;
mod csr;
pub mod decoders;
mod dns_names;
mod external;
mod issuer;
pub mod jose;
mod metrics;
mod oidc;
mod rates;
mod rotation;
mod settings;
mod signatures;
mod source;
mod store;
mod surroundings;
mod tokens;
mod validator;

pub use app::{Bound, Environment, build};
pub use args::{Args, AuthorityArgs, CaSource, ExternalArgs, JwtArgs, Mode, OidcArgs};
