//! What an error of a client library says.

use std::error::Error;

/// An error and what caused it, as one line; causes that the line says already are left out.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Told(&'static str, #[source] Option<Box<Told>>);

    #[test]
    fn causes_are_told_once() {
        let reset = Told("reset by peer", None);
        let write = Told("cannot write: reset by peer", Some(reset.into()));
        let query = Told("query", Some(write.into()));
        assert_eq!(with_causes(&query), "query: cannot write: reset by peer");
    }
}
