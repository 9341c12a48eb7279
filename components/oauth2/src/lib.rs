//! HTTP middleware that asks identity providers.
//!
//! [`bearer`] checks the token that a request brings; [`code`] (`oauth2`) sends a browser through the
//! authorization code flow; [`credentials`] (`oauth2clientcredentials`) obtains a token of its own and adds it to
//! requests. The latter two speak to the token endpoint through [`token`].
//!
//! Deliberately absent: any state of a session in this process (it travels in a sealed cookie, so replicas and
//! restarts do not matter), refresh tokens, and tasks: keys and tokens are renewed by the request that finds them
//! too old.

mod bearer;
mod code;
mod credentials;
mod filter;
mod token;

use std::sync::Arc;

use trilby_components::{
    definition::Definition,
    middleware::HttpMiddleware,
    registry::{Backend, Block},
};

/// Every middleware of this crate.
#[must_use]
pub fn backends() -> Vec<Backend> {
    vec![
        Backend::middleware("bearer", async |_, metadata| {
            let bearer = bearer::Bearer::connect(&metadata).await?;
            Ok(Arc::new(bearer) as Arc<dyn HttpMiddleware>)
        }),
        Backend::middleware("oauth2", async |_, metadata| {
            let flow = code::CodeFlow::new(&metadata)?;
            Ok(Arc::new(flow) as Arc<dyn HttpMiddleware>)
        }),
        Backend::middleware("oauth2clientcredentials", async |_, metadata| {
            let credentials = credentials::Credentials::new(&metadata)?;
            Ok(Arc::new(credentials) as Arc<dyn HttpMiddleware>)
        }),
    ]
}

/// What its types take and can do.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    let middleware = |name| Definition::new(Block::Middleware, name);
    vec![
        middleware("bearer").taking::<bearer::Settings>(),
        middleware("oauth2").taking::<code::Settings>(),
        middleware("oauth2clientcredentials").taking::<credentials::Settings>(),
    ]
}
