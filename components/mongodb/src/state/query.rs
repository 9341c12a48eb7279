//! A query as a filter of MongoDB's, with its order and its page. A token is the number of documents before the page.

use futures_util::TryStreamExt as _;
use mongodb::bson::{Bson, Decimal128, Document, Regex, doc};
use trilby_components::state::{
    Comparison, Filter, MAX_ANSWER, Match, Path, QueryPage, QueryRequest, Scalar, Sort, StateError,
};

use super::listing::literally;
use super::{MongoState, item};
use crate::write::{self, VALUE};

/// A request in MongoDB's words.
#[derive(Debug)]
struct Find {
    filter: Document,
    sort: Document,
    skip: u64,
    limit: Option<i64>,
}

impl MongoState {
    /// What fits a query.
    pub(super) async fn matches(&self, request: &QueryRequest) -> Result<QueryPage, StateError> {
        let Find {
            filter,
            sort,
            skip,
            limit,
        } = Find::new(request)?;
        self.within(async {
            let mut action = self.collection.find(filter).sort(sort).skip(skip);
            if let Some(limit) = limit {
                action = action.limit(limit);
            }
            let mut cursor = action.await?;
            let (mut matches, mut bytes) = (Vec::new(), 0);
            while let Some(document) = cursor.try_next().await? {
                let Ok(key) = document.get_str("_id") else {
                    continue;
                };
                let item = item(key, &document);
                bytes += key.len() + item.as_ref().map_or(0, |item| item.value.len());
                if bytes > MAX_ANSWER {
                    return Err(QueryRequest::oversized("MongoDB").into());
                }
                let key = key.to_owned();
                matches.push(Match { key, item });
            }
            let behind = skip.saturating_add(matches.len() as u64);
            let token = request.query.page.next(behind);
            Ok(QueryPage { matches, token })
        })
        .await
    }
}

impl Find {
    /// # Errors
    /// [`StateError::InvalidRequest`] for what cannot be compared, and for a token that is none of this store's.
    fn new(request: &QueryRequest) -> Result<Self, StateError> {
        let query = &request.query;
        let mut conditions = vec![below(&request.prefix), write::lives()];
        if let Some(wanted) = &query.filter {
            conditions.push(filter(wanted)?);
        }
        let mut sort = Document::new();
        for Sort { path, descending } in &query.sort {
            let order = if *descending { -1 } else { 1 };
            sort.entry(field(path)?).or_insert(Bson::Int32(order));
        }
        // Pages need one order.
        sort.insert("_id", 1);
        Ok(Self {
            filter: doc! { "$and": conditions },
            sort,
            skip: query.page.skipped()?,
            limit: query.page.limit.map(i64::from),
        })
    }
}

/// The keys that begin with `prefix` and have no separator behind it. The range is what an index can look up.
fn below(prefix: &str) -> Document {
    let deeper = Bson::RegularExpression(Regex {
        pattern: format!("^{}[\\s\\S]*\\|\\|", literally(prefix)),
        options: String::new(),
    });
    let mut keys = doc! { "$gte": prefix, "$not": deeper };
    // The separator's last character, and the one after it.
    if let Some(start) = prefix.strip_suffix('|') {
        keys.insert("$lt", format!("{start}}}"));
    }
    doc! { "_id": keys }
}

fn filter(wanted: &Filter) -> Result<Document, StateError> {
    match wanted {
        Filter::Compare(comparison, path, value) => compare(*comparison, path, value),
        Filter::In(path, values) => {
            let each = values.iter();
            let each = each.map(|value| compare(Comparison::Equal, path, value));
            Ok(doc! { "$or": each.collect::<Result<Vec<_>, _>>()? })
        }
        Filter::And(filters) => Ok(doc! { "$and": all(filters)? }),
        Filter::Or(filters) => Ok(doc! { "$or": all(filters)? }),
    }
}

fn all(filters: &[Filter]) -> Result<Vec<Document>, StateError> {
    filters.iter().map(filter).collect()
}

fn compare(comparison: Comparison, path: &Path, value: &Scalar) -> Result<Document, StateError> {
    if comparison.is_ordered() && !matches!(value, Scalar::Number(_)) {
        return Err(comparison.unordered(path, value));
    }
    let value = bson(value)?;
    let condition = match (comparison, value) {
        // MongoDB's own `null` is a field that is not there, too.
        (Comparison::Equal, Bson::Null) => doc! { "$type": "null" },
        (Comparison::NotEqual, value) => doc! { "$exists": true, "$ne": value },
        (Comparison::Equal, value) => doc! { "$eq": value },
        (Comparison::Greater, value) => doc! { "$gt": value },
        (Comparison::GreaterOrEqual, value) => doc! { "$gte": value },
        (Comparison::Less, value) => doc! { "$lt": value },
        (Comparison::LessOrEqual, value) => doc! { "$lte": value },
    };
    Ok(doc! { field(path)?: condition })
}

/// Where a field is in a stored document.
///
/// # Errors
/// It has a name that the server would take for something of its own.
fn field(path: &Path) -> Result<String, StateError> {
    if path.names().iter().any(|name| name.starts_with('$')) {
        return Err(StateError::InvalidRequest(format!(
            "MongoDB: the key {path:?} has a name that begins with $, which no field here has",
            path = path.to_string()
        )));
    }
    Ok(format!("{VALUE}.{path}"))
}

fn bson(value: &Scalar) -> Result<Bson, StateError> {
    Ok(match value {
        Scalar::Null => Bson::Null,
        Scalar::Bool(truth) => Bson::Boolean(*truth),
        Scalar::Text(text) => Bson::String(text.clone()),
        Scalar::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(whole), _, _) => Bson::Int64(whole),
            (_, Some(whole), _) => Bson::Decimal128(
                whole
                    .to_string()
                    .parse::<Decimal128>()
                    .expect("it has fewer than 34 digits"),
            ),
            (_, _, Some(float)) => Bson::Double(float),
            (None, None, None) => {
                let reason = format!("MongoDB: the number {number} cannot be compared with");
                return Err(StateError::InvalidRequest(reason));
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use trilby_components::RequestMetadata;
    use trilby_components::state::Query;

    use super::*;

    fn find(query: &serde_json::Value) -> Result<Find, StateError> {
        Find::new(&QueryRequest {
            query: Query::parse(query.to_string().as_bytes()).unwrap(),
            prefix: "a.b||".to_owned(),
            metadata: RequestMetadata::new(),
        })
    }

    /// The condition that the query's own filter became.
    fn condition(filter: &serde_json::Value) -> Bson {
        let found = find(&json!({ "filter": filter })).unwrap();
        found.filter.get_array("$and").unwrap()[2].clone()
    }

    #[test]
    fn values_stand_for_themselves() {
        let commands = json!({"OR": [{"EQ": {"a.b": "$x"}}, {"IN": {"a": ["y", null, 5]}}]});
        let expected = doc! { "$or": [
            { "value.a.b": { "$eq": "$x" } },
            { "$or": [
                { "value.a": { "$eq": "y" } },
                { "value.a": { "$type": "null" } },
                { "value.a": { "$eq": 5_i64 } },
            ] },
        ] };
        assert_eq!(condition(&commands), Bson::Document(expected));
    }

    #[test]
    fn a_field_that_is_not_there_compares_with_none() {
        assert_eq!(
            condition(&json!({"NEQ": {"a": 1.5}})),
            Bson::Document(doc! { "value.a": { "$exists": true, "$ne": 1.5 } })
        );
    }

    #[test]
    fn whole_numbers_are_exact() {
        let Bson::Document(large) = condition(&json!({"GT": {"a": u64::MAX}})) else {
            panic!("it is a document");
        };
        let number = large.get_document("value.a").unwrap().get("$gt").unwrap();
        assert_eq!(
            number,
            &Bson::Decimal128("18446744073709551615".parse().unwrap())
        );
    }

    #[test]
    fn only_keys_right_below_the_prefix_are_looked_at() {
        let keys = below("a.b||");
        let keys = keys.get_document("_id").unwrap();
        assert_eq!(keys.get_str("$gte"), Ok("a.b||"));
        assert_eq!(keys.get_str("$lt"), Ok("a.b|}"));
        let Some(Bson::RegularExpression(deeper)) = keys.get("$not") else {
            panic!("it is an expression");
        };
        assert_eq!(deeper.pattern, r"^a\.b\|\|[\s\S]*\|\|");
        assert!(!below("").get_document("_id").unwrap().contains_key("$lt"));
    }

    #[test]
    fn pages_have_one_order() {
        let sort = json!([{"key": "a", "order": "DESC"}, {"key": "b"}, {"key": "a"}]);
        let found = find(&json!({"sort": sort, "page": {"limit": 2, "token": "4"}})).unwrap();
        assert_eq!(found.sort, doc! { "value.a": -1, "value.b": 1, "_id": 1 });
        assert_eq!((found.skip, found.limit), (4, Some(2)));
    }

    #[test]
    fn what_cannot_be_asked_is_named() {
        for (query, words) in [
            (json!({"filter": {"GT": {"a.b": true}}}), "GT of a.b"),
            (json!({"filter": {"EQ": {"a.$b": 1}}}), "a.$b"),
            (json!({"sort": [{"key": "$b"}]}), "$b"),
            (json!({"page": {"limit": 1, "token": "-1"}}), "page.token"),
        ] {
            let refused = find(&query).unwrap_err();
            assert!(
                matches!(&refused, StateError::InvalidRequest(text) if text.contains(words)),
                "{refused:?}"
            );
        }
    }
}
