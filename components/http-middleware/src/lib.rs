//! HTTP middleware that needs no other server: `routeralias`, `routerchecker`, `uppercase`, `ratelimit`
//! and `sentinel`.
//!
//! Each is a file: its metadata, decoded once, and what it does to a request. Deliberately absent: whatever
//! asks someone else (identity providers) or runs foreign code (policies, WebAssembly); those are crates of
//! their own beside this one.

mod alias;
mod checker;
mod ratelimit;
mod sentinel;
mod uppercase;
mod uri;

use trilby_components::{
    definition::Definition,
    registry::{Backend, Block},
};

/// Every middleware of this crate.
#[must_use]
pub fn backends() -> Vec<Backend> {
    vec![
        Backend::middleware("routeralias", async |_, metadata| alias::create(&metadata)),
        Backend::middleware("routerchecker", async |_, metadata| {
            checker::create(&metadata)
        }),
        Backend::middleware("uppercase", async |_, metadata| {
            uppercase::create(&metadata)
        }),
        Backend::middleware("ratelimit", async |_, metadata| {
            ratelimit::create(&metadata)
        }),
        Backend::middleware("sentinel", async |_, metadata| sentinel::create(&metadata)),
    ]
}

/// What its types take and can do.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    let middleware = |name| Definition::new(Block::Middleware, name);
    vec![
        middleware("routeralias").taking::<alias::Settings>().open(),
        middleware("routerchecker").taking::<checker::Settings>(),
        middleware("uppercase").taking::<uppercase::Settings>(),
        middleware("ratelimit").taking::<ratelimit::Settings>(),
        middleware("sentinel").taking::<sentinel::Settings>(),
    ]
}

#[cfg(test)]
mod testing;
