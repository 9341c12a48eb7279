//! Which layout a value has: a hash, or a document of the JSON module.

use trilby_components::RequestMetadata;

/// Request metadata that says what a value is.
const CONTENT_TYPE: &str = "contentType";
const JSON: &str = "application/json";

/// How a value is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Fields of a hash; the value is any bytes.
    Hash,
    /// Members of a JSON document; the value is JSON, which queries can look into.
    Document,
}

impl Layout {
    /// Its name in the scripts.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Document => "document",
        }
    }
}

/// Who gets a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Documents {
    /// Nobody: the server has no JSON module. As upstream, who asks for one gets a hash.
    Never,
    /// Requests that say that they are about JSON.
    WhereAsked,
    /// All: the transaction as a whole says so.
    Always,
}

impl Documents {
    /// Of the requests of a transaction with this metadata.
    pub(super) fn of_transaction(self, metadata: &RequestMetadata) -> Self {
        match self {
            Self::WhereAsked if asked(metadata) => Self::Always,
            other => other,
        }
    }

    /// What a request with this metadata gets.
    pub(super) fn layout(self, metadata: &RequestMetadata) -> Layout {
        match self {
            Self::Always => Layout::Document,
            Self::WhereAsked if asked(metadata) => Layout::Document,
            Self::WhereAsked | Self::Never => Layout::Hash,
        }
    }
}

fn asked(metadata: &RequestMetadata) -> bool {
    metadata.get(CONTENT_TYPE).is_some_and(|kind| kind == JSON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_for_those_who_ask_where_there_are_any() {
        let plain = RequestMetadata::new();
        let mut json = RequestMetadata::new();
        json.insert("contentType".into(), "application/json".into());
        assert_eq!(Documents::WhereAsked.layout(&plain), Layout::Hash);
        assert_eq!(Documents::WhereAsked.layout(&json), Layout::Document);
        assert_eq!(Documents::Never.layout(&json), Layout::Hash);
        let all = Documents::WhereAsked.of_transaction(&json);
        assert_eq!(all.layout(&plain), Layout::Document);
        assert_eq!(Documents::Never.of_transaction(&json), Documents::Never);
    }
}
