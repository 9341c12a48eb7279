//! Queries: an index says which documents may fit, and each of them is looked at itself.
//!
//! So an answer says what reading its keys says, whatever the index knows of them. A token is the number of those that the
//! index found before the page, fitting or not.

use std::time::Duration;

use ::redis::{RedisResult, Value, from_redis_value};
use futures_util::{StreamExt as _, stream};
use trilby_components::state::{
    Filter, Item, MAX_ANSWER, Match, QueryPage, QueryRequest, Sort, StateError,
};

use super::{
    RedisState,
    indexes::Index,
    layout::{Documents, Layout},
    read::read,
    search::{Candidates, candidates},
};
use crate::{connection::Connection, link::Repeat};

/// Request metadata that names the index.
const INDEX_NAME: &str = "queryIndexName";
/// How many keys are asked for at once.
const BATCH: u64 = 500;
/// How many documents are read at once: as many values may be held in memory beside the answer.
const READS: usize = 16;
/// How many documents one answer may look at.
const MOST_CANDIDATES: u64 = 100_000;
/// How much longer than a command may take the server may search: what it finds in less than it needs is only a part, and
/// it does not say so.
const TO_SPARE: Duration = Duration::from_secs(1);

/// What is asked of an index, but for the part of what it finds.
struct Search<'a> {
    index: &'a str,
    expression: String,
    /// Alias and direction.
    sort: Option<(&'a str, bool)>,
    /// In milliseconds; 0 for none.
    limit: u64,
}

/// An answer as it comes together.
struct Answer<'a> {
    request: &'a QueryRequest,
    matches: Vec<Match>,
    bytes: usize,
}

impl RedisState {
    /// What fits a query.
    pub(super) async fn matches(&self, request: &QueryRequest) -> Result<QueryPage, StateError> {
        let mut behind = request.query.page.skipped()?;
        let Some(search) = self.search(request)? else {
            return Ok(QueryPage::default());
        };
        let first = behind;
        let mut answer = Answer {
            request,
            matches: Vec::new(),
            bytes: 0,
        };
        loop {
            let command = |connection| search.keys(behind, connection);
            let keys = self.link.run(Repeat::Safe, command).await?;
            let last = (keys.len() as u64) < BATCH;
            behind += self.take(keys, &mut answer).await?;
            if last || answer.is_full() {
                break;
            }
            if behind - first >= MOST_CANDIDATES {
                return Err(StateError::InvalidRequest(format!(
                    "redis store: the query would look at more than {MOST_CANDIDATES} documents: ask for less, by fields that are indexed"
                )));
            }
        }
        Ok(QueryPage {
            token: request.query.page.next(behind),
            matches: answer.matches,
        })
    }

    /// `None` where nothing can fit.
    fn search<'a>(&'a self, request: &'a QueryRequest) -> Result<Option<Search<'a>>, StateError> {
        let index = self.index(request)?;
        let filter = request.query.filter.as_ref();
        let candidates = filter.map_or(Ok(Candidates::All), |filter| candidates(filter, index))?;
        let sort = match &request.query.sort[..] {
            [] => None,
            [Sort { path, descending }] => Some((index.field(path)?.alias.as_str(), *descending)),
            // In upstream's words.
            _ => {
                let reason =
                    "multiple SORTBY steps are not allowed. Sort multiple fields in a single step";
                return Err(StateError::InvalidRequest(reason.to_owned()));
            }
        };
        let limit = self.link.response_limit();
        let limit = limit.map_or(0, |limit| (limit + TO_SPARE).as_millis());
        Ok(candidates.expression().map(|expression| Search {
            index: &index.name,
            expression,
            sort,
            limit: u64::try_from(limit).unwrap_or(0),
        }))
    }

    /// The words of what is refused are upstream's.
    fn index(&self, request: &QueryRequest) -> Result<&Index, StateError> {
        let refused = |reason: String| StateError::InvalidRequest(reason);
        let name = request.metadata.get(INDEX_NAME);
        let name = name.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| refused("query index not found".to_owned()))?;
        let index = self.indexes.iter().find(|index| index.name == *name);
        index.ok_or_else(|| refused(format!("query index schema {name:?} not found")))
    }

    /// How many of these keys were looked at, until the answer was full.
    async fn take(&self, keys: Vec<String>, answer: &mut Answer<'_>) -> Result<u64, StateError> {
        let request = answer.request;
        let reads = stream::iter(keys).map(async |key: String| {
            let found = match request.covers(&key) {
                true => self.document(&key).await?,
                false => None,
            };
            Ok::<_, StateError>((key, found))
        });
        let mut reads = std::pin::pin!(reads.buffered(READS));
        let mut looked = 0;
        while !answer.is_full()
            && let Some(read) = reads.next().await
        {
            let (key, found) = read?;
            looked += 1;
            if let Some(item) = found {
                answer.add(key, item)?;
            }
        }
        Ok(looked)
    }

    async fn document(&self, key: &str) -> Result<Option<Item>, StateError> {
        let command = |connection| read(key, Layout::Document, Documents::Always, connection);
        self.link.run(Repeat::Safe, command).await
    }
}

impl Search<'_> {
    async fn keys(&self, behind: u64, mut connection: Connection) -> RedisResult<Vec<String>> {
        let mut command = ::redis::cmd("FT.SEARCH");
        command.arg(self.index).arg(&self.expression);
        command.arg("NOCONTENT").arg("VERBATIM");
        if let Some((alias, descending)) = self.sort {
            let order = if descending { "DESC" } else { "ASC" };
            command.arg("SORTBY").arg(alias).arg(order);
        }
        command.arg("LIMIT").arg(behind).arg(BATCH);
        command.arg("TIMEOUT").arg(self.limit);
        command.arg("DIALECT").arg(2);
        let answer: Vec<Value> = command.query_async(&mut connection).await?;
        // The first is their number, this batch or not.
        let keys = answer.into_iter().skip(1);
        let keys = keys.map(from_redis_value::<String>);
        Ok(keys.collect::<Result<_, _>>()?)
    }
}

impl Answer<'_> {
    fn is_full(&self) -> bool {
        let limit = self.request.query.page.limit;
        limit.is_some_and(|limit| self.matches.len() as u64 >= u64::from(limit))
    }

    fn add(&mut self, key: String, item: Item) -> Result<(), StateError> {
        let filter = self.request.query.filter.as_ref();
        if !filter.is_none_or(|filter| fits(filter, &item)) {
            return Ok(());
        }
        self.bytes += key.len() + item.value.len();
        if self.bytes > MAX_ANSWER {
            return Err(QueryRequest::oversized("redis store"));
        }
        let item = Ok(item);
        self.matches.push(Match { key, item });
        Ok(())
    }
}

/// What is no JSON, or too deep, says nothing that a filter asks for.
fn fits(filter: &Filter, item: &Item) -> bool {
    let document = serde_json::from_slice(&item.value);
    document.is_ok_and(|document| filter.fits(&document))
}
