//! `wasm`: HTTP middleware written in WebAssembly, by the HTTP handler ABI of http-wasm.
//!
//! ```text
//! settings ─► module ─► guests (a pool) ─► request ─ handle_request ─► next ─ handle_response ─► response
//! ```
//!
//! [`module`] compiles a guest once, [`guest`] is one instance of it and runs its two functions, [`pool`] keeps
//! instances between requests; [`exchange`] is the request and the response as the guest sees them, [`abi`] the
//! host functions on them, [`system`] the part of WASI that guests' languages need for clocks, random numbers and
//! output.
//!
//! A guest is interpreted, in steps between which other tasks run; memory, work and bodies are bounded. A body that
//! the guest does not read streams past it.
//!
//! Deliberately absent: files, sockets, arguments and variables for guests; trailers; images of registries as the
//! guest's source.

mod abi;
mod exchange;
mod guest;
mod memory;
mod middleware;
mod module;
mod pool;
mod settings;
mod system;

use std::sync::Arc;

use trilby_components::{
    definition::Definition,
    middleware::HttpMiddleware,
    registry::{Backend, Block},
};

use middleware::Wasm;

/// Every middleware of this crate.
#[must_use]
pub fn backends() -> Vec<Backend> {
    vec![Backend::middleware("wasm", async |context, metadata| {
        let wasm = Wasm::load(&context, &metadata).await?;
        Ok(Arc::new(wasm) as Arc<dyn HttpMiddleware>)
    })]
}

/// What its types take and can do.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    vec![Definition::new(Block::Middleware, "wasm").taking::<settings::Settings>()]
}

#[cfg(test)]
mod tests;
