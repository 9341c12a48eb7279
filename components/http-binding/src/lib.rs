//! Output bindings that are requests over HTTP: `bindings.http` to any server, `bindings.graphql` to those of GraphQL.
//!
//! ```text
//! http:    invocation ─▶ request (pure) ─▶ trilby-https ─▶ reply (pure)
//! graphql: invocation ─▶ document, variables, headers (pure) ─▶ trilby-https ─▶ data or errors (pure)
//! caller:  which headers a caller may set, which URL a text is
//! ```
//!
//! As upstream's, redirects are followed. Deliberately absent: retries (they wrap the traits), HTTP/2, proxies that the
//! environment names (`HTTP_PROXY`), and renegotiation of TLS, which the TLS stack does not have.

mod caller;
mod graphql;
mod http;

use std::sync::Arc;
use std::time::Duration;

use trilby_components::binding::{Binding, BindingError, OutputBinding};
use trilby_components::definition::Definition;
use trilby_components::registry::{Backend, Block};

pub use crate::graphql::GraphqlBinding;
pub use crate::http::HttpBinding;

/// How large an answer may be unless something else is said. Upstream's default of `maxResponseBodySize`.
const MOST_BYTES: usize = 100 << 20;
/// How long an answer may take where nothing is said: upstream waits for ever, here even what is forgotten ends.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Every binding of this crate.
#[must_use]
pub fn backends() -> Vec<Backend> {
    vec![
        Backend::binding("http", async |_, metadata| {
            let binding = HttpBinding::new(&metadata).await?;
            Ok(output(binding))
        }),
        Backend::binding("graphql", async |_, metadata| {
            let binding = GraphqlBinding::new(&metadata)?;
            Ok(output(binding))
        }),
    ]
}

fn output(binding: impl OutputBinding + 'static) -> Binding {
    Binding {
        input: None,
        output: Some(Arc::new(binding)),
    }
}

/// What its types take and can do.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    let binding = |name| Definition::new(Block::Binding, name).capable_of(&["OUTPUT_BINDING"]);
    vec![
        binding("http").taking::<http::Settings>(),
        // Keys that begin with `header:` are headers.
        binding("graphql").taking::<graphql::Settings>().open(),
    ]
}

/// What it means that there is no answer.
fn failed(error: &trilby_https::Error) -> BindingError {
    use trilby_https::Error;
    let reason = error.to_string();
    match error {
        Error::Url(_) => BindingError::InvalidRequest(reason),
        Error::Roots(_) | Error::Transport(_) | Error::Timeout(_) => {
            BindingError::Unavailable(reason)
        }
        // It was asked for, and done.
        Error::TooLarge(_) | Error::Redirects => BindingError::Refused {
            error: reason,
            reply: Box::default(),
        },
    }
}
