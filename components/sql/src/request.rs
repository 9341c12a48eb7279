//! What a binding over SQL is asked for: a statement and its parameters, in upstream's words.

use serde_json::Value;
use trilby_components::RequestMetadata;
use trilby_components::binding::{BindingError, Invocation, Reply, Timing};
use trilby_components::state::StateError;

/// How large the rows of an answer may be altogether, in bytes.
pub const MOST_BYTES: usize = 100 << 20;
/// Words with which a statement may leave something behind on its connection that the next one would be part of: a
/// transaction, locks, another mode.
const LINGERING: &[&str] = &["begin", "start", "autocommit", "lock", "xa"];

/// What becomes of the rows of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// They are counted.
    Count,
    /// They are the answer.
    Rows,
}

/// A statement that is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// As the caller wrote it.
    pub sql: String,
    /// Of the statement, in their order.
    pub params: Vec<Value>,
    /// What is wanted.
    pub answer: Answer,
}

impl Request {
    /// The operations of bindings over SQL. Upstream also has `close`, with which any caller ends the component for all
    /// others: here, it is none.
    #[must_use]
    pub fn operations() -> Vec<String> {
        ["exec", "query"].map(str::to_owned).into()
    }

    /// Reads what is asked for.
    ///
    /// # Errors
    /// It is nothing that can be done.
    pub fn of(invocation: &Invocation) -> Result<Self, BindingError> {
        let refused = |reason: String| Err(BindingError::InvalidRequest(reason));
        let answer = match invocation.operation.as_str() {
            "exec" => Answer::Count,
            "query" => Answer::Rows,
            "close" => return refused("close is not an operation of callers".to_owned()),
            other => {
                return refused(format!(
                    "invalid operation type: {other}. Expected exec or query"
                ));
            }
        };
        let given = |name: &str| {
            invocation
                .metadata
                .get(name)
                .filter(|text| !text.is_empty())
        };
        let Some(sql) = given("sql") else {
            return refused("required metadata not set: sql".to_owned());
        };
        let params = given("params").map_or(Ok(Vec::new()), |text| serde_json::from_str(text));
        match params {
            Ok(params) => Ok(Self {
                sql: sql.clone(),
                params,
                answer,
            }),
            Err(error) => refused(format!(
                "invalid metadata property params: no JSON array: {error}"
            )),
        }
    }

    /// Whether its connection must not be used again. Rather once too often: all that costs is a connection.
    #[must_use]
    pub fn lingers(&self) -> bool {
        let mut words = self
            .sql
            .split(|next: char| !next.is_ascii_alphanumeric() && next != '_');
        words.any(|word| {
            LINGERING
                .iter()
                .any(|known| word.eq_ignore_ascii_case(known))
        })
    }

    /// What is told when it is done: `affected` rows, or these.
    #[must_use]
    pub fn reply(self, invocation: &Invocation, timing: Timing, done: Done) -> Reply {
        let mut metadata: RequestMetadata = timing.end(invocation);
        metadata.insert("sql".to_owned(), self.sql);
        let data = match done {
            Done::Counted(affected) => {
                metadata.insert("rows-affected".to_owned(), affected.to_string());
                None
            }
            Done::Found(json) => Some(json.into()),
        };
        Reply {
            data,
            metadata,
            content_type: None,
        }
    }
}

/// What a statement did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// So many rows changed.
    Counted(u64),
    /// The rows, in JSON.
    Found(String),
}

/// What it means to a caller of a binding that a server did not do it.
#[must_use]
pub fn refusal(failure: StateError) -> BindingError {
    match failure {
        StateError::Unavailable(text) | StateError::Conflict(text) => {
            BindingError::Unavailable(text)
        }
        StateError::InvalidRequest(text) => BindingError::InvalidRequest(text),
        other => BindingError::Refused {
            error: other.to_string(),
            reply: Box::default(),
        },
    }
}

/// A number as servers read one for any type of theirs: whole ones without a point, as Go writes them.
#[must_use]
pub fn plain(number: &serde_json::Number) -> String {
    match number.as_f64() {
        // Beyond, not every whole number is one of these.
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
            format!("{float:.0}")
        }
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(operation: &str, metadata: &[(&str, &str)]) -> Result<Request, BindingError> {
        let pairs = metadata.iter();
        Request::of(&Invocation {
            operation: operation.to_owned(),
            metadata: pairs
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            ..Invocation::default()
        })
    }

    #[test]
    fn a_request_is_a_statement_and_its_parameters() {
        let request = asked(
            "exec",
            &[("sql", "DELETE"), ("params", r#"[1, "a", null]"#)],
        )
        .unwrap();
        assert_eq!(
            (request.sql.as_str(), request.answer),
            ("DELETE", Answer::Count)
        );
        assert_eq!(request.params, [Value::from(1), "a".into(), Value::Null]);
        let request = asked("query", &[("sql", "SELECT"), ("params", "")]).unwrap();
        assert_eq!((request.params, request.answer), (vec![], Answer::Rows));
    }

    #[test]
    fn what_cannot_be_done_is_named() {
        for (operation, metadata, reason) in [
            ("exec", &[][..], "sql"),
            ("query", &[("sql", "")], "sql"),
            ("query", &[("sql", "SELECT"), ("params", "{}")], "params"),
            ("query", &[("sql", "SELECT"), ("params", "[")], "params"),
            ("Query", &[("sql", "SELECT")], "Query"),
        ] {
            let refused = asked(operation, metadata).unwrap_err().to_string();
            assert!(refused.contains(reason), "{refused}");
        }
    }

    #[test]
    fn close_is_not_a_callers_operation() {
        assert!(!Request::operations().contains(&"close".to_owned()));
        let refused = asked("close", &[("sql", "SELECT")]).unwrap_err();
        assert!(refused.to_string().contains("close"), "{refused}");
    }

    #[test]
    fn what_may_leave_a_transaction_behind_is_known() {
        let lingers = |sql: &str| asked("exec", &[("sql", sql)]).unwrap().lingers();
        for sql in [
            "begin",
            "INSERT INTO a VALUES (1);BEGIN;",
            "START TRANSACTION",
            "set autocommit=0",
            "LOCK TABLES a READ",
        ] {
            assert!(lingers(sql), "{sql}");
        }
        for sql in [
            "INSERT INTO beginners VALUES (1)",
            "UPDATE a SET started = true",
            "SELECT 1",
        ] {
            assert!(!lingers(sql), "{sql}");
        }
    }

    #[test]
    fn whole_numbers_have_no_point() {
        for (text, expected) in [
            ("1", "1"),
            ("1.0", "1"),
            ("-2e3", "-2000"),
            ("1.5", "1.5"),
            ("9007199254740993", "9007199254740993"),
            ("18446744073709551615", "18446744073709551615"),
            ("1e300", "1e+300"),
        ] {
            let number: serde_json::Number = serde_json::from_str(text).unwrap();
            assert_eq!(plain(&number), expected);
        }
    }
}
