//! From text to [`Query`]: every mistake is named with its place, and nothing is unbounded.

use serde_json::{Map, Value};

use super::{Comparison, Filter, Paging, Path, Query, Scalar, Sort};

/// How deep `AND` and `OR` may be nested.
const MAX_DEPTH: usize = 16;
/// How many comparisons a filter may have, each value of `IN` counted.
const MAX_COMPARISONS: usize = 1_000;
/// How many criteria an order may have.
const MAX_SORTS: usize = 16;
/// How many names a path may have.
const MAX_NAMES: usize = 32;

/// Why a text is no query: where, and what is wrong there. The words for what upstream refuses as well are upstream's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}{reason}")]
pub struct QueryError {
    /// Empty for the whole, else with what separates it from the reason.
    place: String,
    reason: String,
}

impl QueryError {
    fn at(place: &str, reason: impl Into<String>) -> Self {
        let place = match place {
            "" => String::new(),
            place => format!("{place}: "),
        };
        Self {
            place,
            reason: reason.into(),
        }
    }
}

impl Query {
    /// Reads the JSON text of a query. Names of its own are `filter`, `sort` and `page`, in any case; others mean nothing.
    ///
    /// # Errors
    /// [`QueryError`] for a text that is no query, and for one that is too deep or too long.
    pub fn parse(text: &[u8]) -> Result<Self, QueryError> {
        let value = serde_json::from_slice(text);
        let value = value.map_err(|error| QueryError::at("", error.to_string()))?;
        let fields = match value {
            Value::Object(fields) => fields,
            Value::Null => Map::new(),
            _ => return Err(QueryError::at("", "a query must be a map")),
        };
        let mut query = Self::default();
        for (name, value) in &fields {
            match name.to_ascii_lowercase().as_str() {
                "filter" => query.filter = filter_of(value)?,
                "sort" => query.sort = sort_of(value)?,
                "page" => query.page = page_of(value)?,
                _ => {}
            }
        }
        Ok(query)
    }
}

fn filter_of(value: &Value) -> Result<Option<Filter>, QueryError> {
    match value {
        Value::Null => Ok(None),
        Value::Object(unit) if unit.is_empty() => Ok(None),
        value => Filters::default().unit("filter", value, 0).map(Some),
    }
}

/// Filters as they are read.
#[derive(Default)]
struct Filters {
    comparisons: usize,
}

impl Filters {
    fn unit(&mut self, place: &str, value: &Value, depth: usize) -> Result<Filter, QueryError> {
        if depth > MAX_DEPTH {
            let reason = format!("filters are nested more than {MAX_DEPTH} deep");
            return Err(QueryError::at(place, reason));
        }
        let Value::Object(unit) = value else {
            return Err(QueryError::at(place, "filter unit must be a map"));
        };
        let Some((name, operand)) = single(unit) else {
            return Err(QueryError::at(
                place,
                "filter unit must have a single element",
            ));
        };
        let place = format!("{place}.{name}");
        match name {
            "AND" => self.units(&place, name, operand, depth).map(Filter::And),
            "OR" => self.units(&place, name, operand, depth).map(Filter::Or),
            "IN" => self.choice(&place, operand),
            name => match comparison(name) {
                Some(comparison) => self.comparison(&place, comparison, operand),
                None => Err(QueryError::at(
                    &place,
                    format!("unsupported filter {name:?}"),
                )),
            },
        }
    }

    fn units(
        &mut self,
        place: &str,
        name: &str,
        operand: &Value,
        depth: usize,
    ) -> Result<Vec<Filter>, QueryError> {
        let Value::Array(units) = operand else {
            return Err(QueryError::at(
                place,
                format!("{name} filter must be an array"),
            ));
        };
        if units.len() < 2 {
            let reason = format!("{name} filter must contain at least two entries");
            return Err(QueryError::at(place, reason));
        }
        let units = units.iter().enumerate();
        units
            .map(|(index, unit)| self.unit(&format!("{place}[{index}]"), unit, depth + 1))
            .collect()
    }

    fn comparison(
        &mut self,
        place: &str,
        comparison: Comparison,
        operand: &Value,
    ) -> Result<Filter, QueryError> {
        let (path, value) = field(place, comparison.name(), operand)?;
        Ok(Filter::Compare(
            comparison,
            path,
            self.scalar(place, value)?,
        ))
    }

    fn choice(&mut self, place: &str, operand: &Value) -> Result<Filter, QueryError> {
        let (path, values) = field(place, "IN", operand)?;
        let Value::Array(values) = values else {
            return Err(QueryError::at(place, "IN filter value must be an array"));
        };
        if values.is_empty() {
            let reason = format!("empty IN operator for key {:?}", path.names().join("."));
            return Err(QueryError::at(place, reason));
        }
        let values: Result<_, _> = values
            .iter()
            .map(|value| self.scalar(place, value))
            .collect();
        Ok(Filter::In(path, values?))
    }

    fn scalar(&mut self, place: &str, value: &Value) -> Result<Scalar, QueryError> {
        self.comparisons += 1;
        if self.comparisons > MAX_COMPARISONS {
            let reason = format!("a filter has at most {MAX_COMPARISONS} comparisons");
            return Err(QueryError::at(place, reason));
        }
        match value {
            Value::Null => Ok(Scalar::Null),
            Value::Bool(value) => Ok(Scalar::Bool(*value)),
            Value::Number(number) => Ok(Scalar::Number(number.clone())),
            Value::String(text) => Ok(Scalar::Text(text.clone())),
            Value::Array(_) | Value::Object(_) => Err(QueryError::at(
                place,
                "a field is compared with a text, a number, true, false or null",
            )),
        }
    }
}

fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        "EQ" => Comparison::Equal,
        "NEQ" => Comparison::NotEqual,
        "GT" => Comparison::Greater,
        "GTE" => Comparison::GreaterOrEqual,
        "LT" => Comparison::Less,
        "LTE" => Comparison::LessOrEqual,
        _ => return None,
    })
}

fn single(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut entries = map.iter();
    match (entries.next(), entries.next()) {
        (Some((name, value)), None) => Some((name, value)),
        _ => None,
    }
}

/// The one field of an operand, and what it is compared with.
fn field<'a>(place: &str, name: &str, operand: &'a Value) -> Result<(Path, &'a Value), QueryError> {
    let Value::Object(operand) = operand else {
        return Err(QueryError::at(
            place,
            format!("{name} filter must be a map"),
        ));
    };
    let Some((key, value)) = single(operand) else {
        let reason = format!("{name} filter must contain a single key/value pair");
        return Err(QueryError::at(place, reason));
    };
    Ok((path(place, key)?, value))
}

pub(super) fn path(place: &str, key: &str) -> Result<Path, QueryError> {
    let names: Vec<String> = key.split('.').map(str::to_owned).collect();
    let wrong = |reason: String| Err(QueryError::at(place, reason));
    if names.iter().any(String::is_empty) {
        return wrong(format!(
            "the key {key:?} has an empty name between its dots"
        ));
    }
    if names.len() > MAX_NAMES {
        return wrong(format!("a key has at most {MAX_NAMES} names"));
    }
    if key.contains('\0') {
        return wrong(format!("the key {key:?} has a NUL"));
    }
    Ok(Path(names))
}

fn sort_of(value: &Value) -> Result<Vec<Sort>, QueryError> {
    let criteria = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(criteria) if criteria.len() <= MAX_SORTS => criteria,
        Value::Array(_) => {
            let reason = format!("an order has at most {MAX_SORTS} keys");
            return Err(QueryError::at("sort", reason));
        }
        _ => return Err(QueryError::at("sort", "it must be an array")),
    };
    let criteria = criteria.iter().enumerate();
    criteria
        .map(|(index, criterion)| criterion_of(&format!("sort[{index}]"), criterion))
        .collect()
}

fn criterion_of(place: &str, value: &Value) -> Result<Sort, QueryError> {
    let Value::Object(fields) = value else {
        return Err(QueryError::at(
            place,
            "it must be a map with a key and an order",
        ));
    };
    let Some(Value::String(key)) = get(fields, "key") else {
        return Err(QueryError::at(place, "its key must be a text"));
    };
    let descending = match get(fields, "order") {
        None | Some(Value::Null) => false,
        Some(Value::String(order)) => match order.to_ascii_uppercase().as_str() {
            "" | "ASC" => false,
            "DESC" => true,
            _ => {
                return Err(QueryError::at(
                    place,
                    format!("order {order:?} is not ASC or DESC"),
                ));
            }
        },
        Some(_) => return Err(QueryError::at(place, "its order must be ASC or DESC")),
    };
    let path = path(place, key)?;
    Ok(Sort { path, descending })
}

fn page_of(value: &Value) -> Result<Paging, QueryError> {
    let fields = match value {
        Value::Null => return Ok(Paging::default()),
        Value::Object(fields) => fields,
        _ => return Err(QueryError::at("page", "it must be a map")),
    };
    let limit = match get(fields, "limit") {
        None | Some(Value::Null) => None,
        Some(value) => {
            let wrong = || QueryError::at("page.limit", "it must be a whole number");
            let limit = value.as_i64().ok_or_else(wrong)?;
            // Upstream takes what is below one for no limit.
            (limit > 0).then(|| u32::try_from(limit).unwrap_or(u32::MAX))
        }
    };
    let token = match get(fields, "token") {
        None | Some(Value::Null) => None,
        Some(Value::String(token)) => (!token.is_empty()).then(|| token.clone()),
        Some(_) => return Err(QueryError::at("page.token", "it must be a text")),
    };
    Ok(Paging { limit, token })
}

/// A field by its name in any case.
fn get<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let mut fields = fields.iter();
    fields
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}
