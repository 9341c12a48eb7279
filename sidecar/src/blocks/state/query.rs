//! Queries, which find what the application could also read by key.

use tokio::time::Instant;
use tracing::debug;
use trilby_components::RequestMetadata;
use trilby_components::state::{Item, Match, Query, QueryRequest};

use super::{Counted, Store, error};
use crate::error::ApiError;

/// What a query found.
#[derive(Debug, Default)]
pub struct Answer {
    /// In its order.
    pub found: Vec<Found>,
    /// The token of the next page; empty for none.
    pub token: String,
}

/// One value that was found, under the application's key.
#[derive(Debug)]
pub struct Found {
    /// The key, without prefix.
    pub key: String,
    /// The value, or why it could not be read.
    pub result: Result<Item, String>,
}

impl Store {
    /// Answers a query.
    ///
    /// # Errors
    /// The store answers none, its values are encrypted, the text is no query, or the store failed.
    pub async fn query(&self, text: &[u8], metadata: RequestMetadata) -> Result<Answer, ApiError> {
        let Some(queryable) = self.component.store.queryable() else {
            // Upstream's answer has no place for it.
            debug!(
                store = self.name,
                "stores that answer queries are those with the capability QUERY_API in the reference of components"
            );
            return Err(error::no_queries(&self.name));
        };
        if self.encrypts() {
            return Err(error::query(&self.name, "cannot query encrypted store"));
        }
        let query = Query::parse(text).map_err(|wrong| {
            let why = format!("failed to parse JSON query body: {wrong}");
            error::query(&self.name, why)
        })?;
        let prefix = self.prefix.text();
        let prefix = prefix.ok_or_else(|| error::illegal_key(&self.name, ""))?;
        let request = QueryRequest {
            query,
            prefix: prefix.clone(),
            metadata,
        };
        let start = Instant::now();
        let page = self.guarded().query(queryable, request).await;
        self.done(Counted::StateQuery, &page, start);
        let page = page.map_err(|failure| error::query_failed(&self.name, &failure))?;
        if page.matches.is_empty() {
            return Ok(Answer::default());
        }
        let found = |Match { key, item }| Found {
            key: original(&prefix, key),
            result: item.map_err(|failure| failure.to_string()),
        };
        Ok(Answer {
            found: page.matches.into_iter().map(found).collect(),
            token: page.token.unwrap_or_default(),
        })
    }
}

/// The application's key. The store was asked for keys of this prefix only.
fn original(prefix: &str, key: String) -> String {
    match key.strip_prefix(prefix) {
        Some(original) => original.to_owned(),
        None => key,
    }
}
