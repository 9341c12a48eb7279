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
//! Not built yet: JWTs, OpenID Connect discovery, the JWKS validator. Their flags are accepted with a
//! warning, and requests for that validator are refused.

mod api;
mod app;
mod args;
mod authority;
mod bundle;
mod csr;
mod dns_names;
mod issuer;
mod metrics;
mod settings;
mod store;
mod validator;

pub use app::{Bound, Environment, build};
pub use args::{Args, JwtArgs, Mode};
