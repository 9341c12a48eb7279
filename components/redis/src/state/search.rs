//! A filter in the words of the search module: which documents may fit it.
//!
//! An index knows less than the documents say: the words of a text but not their order, numbers only as far as the
//! machine's have digits, nothing of what is `null`. So what is asked for here is all that fits, and maybe more; who asks
//! looks at each document itself. Nothing of a query becomes part of that language: words are of letters and digits, or
//! escaped.

use serde_json::Number;
use trilby_components::state::{Comparison, Filter, Path, Scalar, StateError};

use super::indexes::{Field, Index, Kind};

/// Words that an index leaves out, by default of the module.
const STOP_WORDS: [&str; 33] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it",
    "no", "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these",
    "they", "this", "to", "was", "will", "with",
];
/// How many words of a text are asked for.
const MOST_WORDS: usize = 16;
/// Longer ones are left out, as the module may cut them.
const LONGEST: usize = 128;

/// Documents that may fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Candidates {
    /// All of the index.
    All,
    /// None fits.
    None,
    /// Those that this expression finds.
    Found(String),
}

impl Candidates {
    /// As the module reads it; `None` for none.
    pub(super) fn expression(self) -> Option<String> {
        match self {
            Self::All => Some("*".to_owned()),
            Self::None => None,
            Self::Found(expression) => Some(expression),
        }
    }
}

/// What may fit a filter.
///
/// # Errors
/// [`StateError::InvalidRequest`] for a field that is not in the index, and for what cannot be compared.
pub(super) fn candidates(filter: &Filter, index: &Index) -> Result<Candidates, StateError> {
    match filter {
        Filter::Compare(comparison, path, value) => {
            compared(index.field(path)?, *comparison, path, value)
        }
        Filter::In(path, values) => {
            let field = index.field(path)?;
            let each = values.iter();
            let each = each.map(|value| compared(field, Comparison::Equal, path, value));
            Ok(any(each.collect::<Result<_, _>>()?))
        }
        Filter::And(filters) => Ok(all(of_each(filters, index)?)),
        Filter::Or(filters) => Ok(any(of_each(filters, index)?)),
    }
}

fn of_each(filters: &[Filter], index: &Index) -> Result<Vec<Candidates>, StateError> {
    let filters = filters.iter();
    filters.map(|filter| candidates(filter, index)).collect()
}

fn all(parts: Vec<Candidates>) -> Candidates {
    let mut expressions = Vec::new();
    for part in parts {
        match part {
            Candidates::All => {}
            Candidates::None => return Candidates::None,
            Candidates::Found(expression) => expressions.push(expression),
        }
    }
    joined(&expressions, " ").unwrap_or(Candidates::All)
}

fn any(parts: Vec<Candidates>) -> Candidates {
    let mut expressions = Vec::new();
    for part in parts {
        match part {
            Candidates::All => return Candidates::All,
            Candidates::None => {}
            Candidates::Found(expression) => expressions.push(expression),
        }
    }
    joined(&expressions, "|").unwrap_or(Candidates::None)
}

fn joined(expressions: &[String], by: &str) -> Option<Candidates> {
    (!expressions.is_empty()).then(|| Candidates::Found(format!("({})", expressions.join(by))))
}

/// A document whose field is of another kind than the index says is in no index.
fn compared(
    field: &Field,
    comparison: Comparison,
    path: &Path,
    value: &Scalar,
) -> Result<Candidates, StateError> {
    if comparison.is_ordered() && !matches!(value, Scalar::Number(_)) {
        return Err(comparison.unordered(path, value));
    }
    let alias = &field.alias;
    Ok(match (comparison, field.kind, value) {
        (Comparison::NotEqual, _, _) | (_, _, Scalar::Null) => Candidates::All,
        (_, Kind::Numeric, Scalar::Number(number)) => numbers(alias, comparison, number),
        (_, Kind::Text, Scalar::Text(text)) => words(alias, text),
        (_, Kind::Tag, Scalar::Text(text)) => tag(alias, text),
        (_, Kind::Tag, Scalar::Bool(truth)) => Candidates::Found(format!("(@{alias}:{{{truth}}})")),
        _ => Candidates::None,
    })
}

/// Bounds are part of it: an index rounds numbers.
fn numbers(alias: &str, comparison: Comparison, number: &Number) -> Candidates {
    let Some(number) = number.as_f64() else {
        return Candidates::All;
    };
    let (least, most) = match comparison {
        Comparison::Greater | Comparison::GreaterOrEqual => (number.to_string(), "+inf".to_owned()),
        Comparison::Less | Comparison::LessOrEqual => ("-inf".to_owned(), number.to_string()),
        Comparison::Equal | Comparison::NotEqual => (number.to_string(), number.to_string()),
    };
    Candidates::Found(format!("(@{alias}:[{least} {most}])"))
}

fn words(alias: &str, text: &str) -> Candidates {
    // Where this stands before what separates words, it does not.
    if text.contains('\\') {
        return Candidates::All;
    }
    let separated = text.split(|c: char| c == ' ' || (c.is_ascii_punctuation() && c != '_'));
    let words: Vec<&str> = separated
        .filter(|word| is_indexed(word))
        .take(MOST_WORDS)
        .collect();
    match words.is_empty() {
        true => Candidates::All,
        false => Candidates::Found(format!("(@{alias}:({}))", words.join(" "))),
    }
}

/// Whether the index has this word for sure. What has no letter could be a number to it, and so could `inf`.
fn is_indexed(word: &str) -> bool {
    let plain = word.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    let lower = word.to_ascii_lowercase();
    plain
        && word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.len() <= LONGEST
        && lower != "inf"
        && !STOP_WORDS.contains(&lower.as_str())
}

/// Spaces around it are not told apart, and what is not seen is left alone.
fn tag(alias: &str, text: &str) -> Candidates {
    let awkward = text.is_empty()
        || text.len() > LONGEST
        || text.contains(|c: char| c.is_control() || c == '\\')
        || text.trim() != text;
    if awkward {
        return Candidates::All;
    }
    let mut escaped = String::new();
    for character in text.chars() {
        if character.is_ascii() && !character.is_ascii_alphanumeric() {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    Candidates::Found(format!("(@{alias}:{{{escaped}}})"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use trilby_components::state::Query;

    use super::super::indexes;
    use super::*;

    fn found(filter: Value) -> Result<Candidates, StateError> {
        let setting = r#"[{"name": "i", "indexes": [
            {"key": "org.name", "type": "TEXT"}, {"key": "id", "type": "NUMERIC"}, {"key": "state", "type": "TAG"}
        ]}]"#;
        let indexes = indexes::parse(setting).unwrap();
        let query = json!({ "filter": filter }).to_string();
        let filter = Query::parse(query.as_bytes()).unwrap().filter.unwrap();
        candidates(&filter, &indexes[0])
    }

    fn check(filter: Value, expected: &str) {
        let name = filter.to_string();
        let found = found(filter).unwrap().expression();
        assert_eq!(found.as_deref().unwrap_or("nothing"), expected, "{name}");
    }

    #[test]
    fn what_may_fit_is_asked_for() {
        check(
            json!({"EQ": {"org.name": "Dev the Ops-x_1"}}),
            "(@var0:(Dev Ops x_1))",
        );
        check(json!({"EQ": {"org.name": "to be 42 ß inf"}}), "*");
        check(json!({"EQ": {"org.name": 5}}), "nothing");
        check(json!({"NEQ": {"org.name": "x"}}), "*");
        check(json!({"EQ": {"id": 7}}), "(@var1:[7 7])");
        check(json!({"GT": {"id": -1.5}}), "(@var1:[-1.5 +inf])");
        check(json!({"LT": {"id": 7}}), "(@var1:[-inf 7])");
        check(json!({"EQ": {"state": "A B"}}), r"(@var2:{A\ B})");
        check(json!({"EQ": {"state": true}}), "(@var2:{true})");
        check(json!({"EQ": {"state": null}}), "*");
    }

    #[test]
    fn parts_are_joined() {
        let (id, none, all) = (
            json!({"EQ": {"id": 1}}),
            json!({"EQ": {"id": "x"}}),
            json!({"NEQ": {"id": 1}}),
        );
        check(json!({"AND": [id, all]}), "((@var1:[1 1]))");
        check(json!({"AND": [id, none]}), "nothing");
        check(json!({"OR": [id, none]}), "((@var1:[1 1]))");
        check(json!({"OR": [id, all]}), "*");
        check(json!({"OR": [id, id]}), "((@var1:[1 1])|(@var1:[1 1]))");
        check(
            json!({"IN": {"state": ["a", "b"]}}),
            "((@var2:{a})|(@var2:{b}))",
        );
    }

    #[test]
    fn nothing_of_a_query_is_part_of_the_expression() {
        let hostile = "x}|@var1:[-inf +inf] (*) -a\"'~%=>";
        check(json!({"EQ": {"org.name": hostile}}), "(@var0:(x var1))");
        check(
            json!({"EQ": {"state": hostile}}),
            r#"(@var2:{x\}\|\@var1\:\[\-inf\ \+inf\]\ \(\*\)\ \-a\"\'\~\%\=\>})"#,
        );
    }

    #[test]
    fn what_cannot_be_asked_is_named() {
        for (filter, words) in [
            (json!({"GT": {"state": "x"}}), "GT of state takes a number"),
            (
                json!({"EQ": {"other": "x"}}),
                "JSON path \"other\" is not indexed",
            ),
            (json!({"EQ": {"id) @x": 1}}), "is not indexed"),
        ] {
            let refused = found(filter).unwrap_err();
            assert!(refused.to_string().contains(words), "{refused}");
        }
    }
}
