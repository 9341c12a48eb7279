//! A query as one statement over the documents of v1.
//!
//! Names, values and patterns are parameters, never part of the statement. Numbers compare as numbers, whatever way
//! they are written; all else compares by its text, as upstream's sidecars do it.

use tokio_postgres::types::Type;
use trilby_components::state::{
    Comparison, Filter, Paging, Path, QueryRequest, Scalar, Sort, StateError,
};
use trilby_components_sql::escaped;

use super::plan;
use crate::pool::Parameter;

/// A statement that gives rows as [`Statements::find`](super::layout::Statements::find) does, and what belongs to it.
#[derive(Debug)]
pub(super) struct Select {
    pub(super) statement: String,
    bound: Vec<Bound>,
    /// How many rows come before those of this page.
    skipped: u64,
    page: Paging,
}

#[derive(Debug, PartialEq)]
enum Bound {
    Text(String),
    Names(Vec<String>),
}

impl Select {
    /// The statement for a request, over rows that `rows` selects.
    ///
    /// # Errors
    /// [`StateError::InvalidRequest`] for what cannot be compared, and for a token that is none of this store's.
    pub(super) fn new(rows: &str, request: &QueryRequest) -> Result<Self, StateError> {
        plan::check_key(&request.prefix)?;
        let mut select = Self {
            statement: String::new(),
            bound: Vec::new(),
            skipped: request.query.page.skipped()?,
            page: request.query.page.clone(),
        };
        let prefix = escaped(&request.prefix);
        let below = select.text(format!("{prefix}%"));
        let deeper = select.text(format!("{prefix}%||%"));
        let mut statement = format!("{rows} AND key LIKE {below} AND key NOT LIKE {deeper}");
        if let Some(filter) = &request.query.filter {
            let filter = select.filter(filter)?;
            statement.push_str(" AND ");
            statement.push_str(&filter);
        }
        statement.push_str(" ORDER BY ");
        for Sort { path, descending } in &request.query.sort {
            let field = select.field(path);
            let order = if *descending { "DESC" } else { "ASC" };
            statement.push_str(&format!("NULLIF({}, 'null'::jsonb) {order}, ", field.json));
        }
        // Pages need one order.
        statement.push_str("key");
        if let Some(limit) = request.query.page.limit {
            statement.push_str(&format!(" LIMIT {limit}"));
        }
        if select.skipped > 0 {
            statement.push_str(&format!(" OFFSET {}", select.skipped));
        }
        select.statement = statement;
        Ok(select)
    }

    pub(super) fn parameters(&self) -> Vec<Parameter<'_>> {
        let bound = self.bound.iter();
        bound
            .map(|bound| match bound {
                Bound::Text(text) => (text as _, Type::TEXT),
                Bound::Names(names) => (names as _, Type::TEXT_ARRAY),
            })
            .collect()
    }

    /// The token of the page after one with so many rows.
    pub(super) fn token(&self, rows: usize) -> Option<String> {
        self.page.next(self.skipped.saturating_add(rows as u64))
    }

    fn bind(&mut self, bound: Bound) -> String {
        self.bound.push(bound);
        format!("${}", self.bound.len())
    }

    fn text(&mut self, text: String) -> String {
        self.bind(Bound::Text(text))
    }

    fn field(&mut self, path: &Path) -> Field {
        let names = self.bind(Bound::Names(path.names().to_vec()));
        Field {
            json: format!("(value #> {names})"),
            text: format!("(value #>> {names})"),
        }
    }

    fn filter(&mut self, filter: &Filter) -> Result<String, StateError> {
        match filter {
            Filter::Compare(comparison, path, value) => self.comparison(*comparison, path, value),
            Filter::In(path, values) => {
                let each = values.iter();
                let each = each.map(|value| self.comparison(Comparison::Equal, path, value));
                Ok(joined(each.collect::<Result<_, _>>()?, " OR "))
            }
            Filter::And(filters) => self.filters(filters, " AND "),
            Filter::Or(filters) => self.filters(filters, " OR "),
        }
    }

    fn filters(&mut self, filters: &[Filter], by: &str) -> Result<String, StateError> {
        let each = filters.iter().map(|filter| self.filter(filter));
        Ok(joined(each.collect::<Result<_, _>>()?, by))
    }

    fn comparison(
        &mut self,
        comparison: Comparison,
        path: &Path,
        value: &Scalar,
    ) -> Result<String, StateError> {
        let Field { json, text } = self.field(path);
        let sign = sign(comparison);
        let value = match value {
            Scalar::Number(number) => {
                let number = self.text(number.to_string());
                let other = match comparison.is_ordered() {
                    true => "false".to_owned(),
                    false => format!("{text} {sign} {number}"),
                };
                return Ok(format!(
                    "(CASE jsonb_typeof({json}) WHEN 'number' THEN {text}::numeric {sign} {number}::numeric ELSE {other} END)"
                ));
            }
            value if comparison.is_ordered() => return Err(comparison.unordered(path, value)),
            Scalar::Null => return Ok(format!("(jsonb_typeof({json}) {sign} 'null')")),
            Scalar::Bool(value) => value.to_string(),
            Scalar::Text(text) => text.clone(),
        };
        if value.contains('\0') {
            let reason = format!(
                "PostgreSQL: the value for {path} has a NUL, which no text in PostgreSQL can have"
            );
            return Err(StateError::InvalidRequest(reason));
        }
        let value = self.text(value);
        Ok(format!("({text} {sign} {value})"))
    }
}

/// A field of a document, in the words of SQL.
struct Field {
    json: String,
    text: String,
}

fn joined(conditions: Vec<String>, by: &str) -> String {
    format!("({})", conditions.join(by))
}

fn sign(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "=",
        Comparison::NotEqual => "<>",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
    }
}

#[cfg(test)]
mod tests {
    use trilby_components::RequestMetadata;
    use trilby_components::state::{Query, QueryRequest, StateError};

    use super::{Bound, Select};

    fn select(text: &str) -> Result<Select, StateError> {
        let request = QueryRequest {
            query: Query::parse(text.as_bytes()).unwrap(),
            prefix: "a_b||".to_owned(),
            metadata: RequestMetadata::new(),
        };
        Select::new("SELECT x WHERE y", &request)
    }

    #[test]
    fn nothing_of_a_query_is_part_of_the_statement() {
        let hostile = "x'\\\" $1 ;--";
        let text = serde_json::json!({
            "filter": {"OR": [{"EQ": {hostile: hostile}}, {"IN": {hostile: [hostile, 5]}}]},
            "sort": [{"key": hostile, "order": "DESC"}],
            "page": {"limit": 2, "token": "4"},
        });
        let select = select(&text.to_string()).unwrap();
        assert_eq!(
            select.statement,
            "SELECT x WHERE y AND key LIKE $1 AND key NOT LIKE $2 AND \
             (((value #>> $3) = $4) OR (((value #>> $5) = $6) OR \
             (CASE jsonb_typeof((value #> $7)) WHEN 'number' THEN (value #>> $7)::numeric = $8::numeric \
             ELSE (value #>> $7) = $8 END))) ORDER BY NULLIF((value #> $9), 'null'::jsonb) DESC, key LIMIT 2 OFFSET 4"
        );
        assert_eq!(select.bound[0], Bound::Text("a\\_b||%".to_owned()));
        assert_eq!(select.bound[1], Bound::Text("a\\_b||%||%".to_owned()));
        assert_eq!(select.parameters().len(), 9);
        assert_eq!(select.token(2).as_deref(), Some("6"));
    }

    #[test]
    fn only_numbers_have_an_order() {
        let refused = |value: &str| {
            let text = format!(r#"{{"filter":{{"GTE":{{"a.b":{value}}}}}}}"#);
            select(&text).unwrap_err().to_string()
        };
        assert!(
            refused("\"x\"").starts_with("unsupported type of value x; string type not permitted")
        );
        assert!(refused("true").ends_with("GTE of a.b takes a number"));
        for token in ["-1", "x", "1.5"] {
            let text = format!(r#"{{"page":{{"limit":1,"token":"{token}"}}}}"#);
            assert!(
                matches!(select(&text), Err(StateError::InvalidRequest(_))),
                "{token}"
            );
        }
        assert_eq!(select("{}").unwrap().token(3), None);
    }
}
