//! From text to an [`Expression`].

use super::{Conversion, Expression, Operator, Value};

/// The deepest nesting taken; the parser calls itself for each level.
const DEEPEST: usize = 64;

/// Operators by precedence, from the loosest; longer signs stand before their beginnings.
const LEVELS: [&[(&str, Operator)]; 5] = [
    &[("||", Operator::Or)],
    &[("&&", Operator::And)],
    &[
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[
        ("*", Operator::Multiply),
        ("/", Operator::Divide),
        ("%", Operator::Remainder),
    ],
];

pub(super) fn parse(text: &str) -> Result<Expression, String> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
    };
    let expression = parser.conditional()?;
    if parser.rest().is_empty() {
        Ok(expression)
    } else {
        Err(parser.unexpected("the end"))
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn conditional(&mut self) -> Result<Expression, String> {
        self.deeper()?;
        let condition = self.binary(0)?;
        let expression = if self.take("?") {
            let then = self.conditional()?;
            self.expect(":")?;
            Expression::Conditional(Box::new((condition, then, self.conditional()?)))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn binary(&mut self, level: usize) -> Result<Expression, String> {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = self.operator(operators) {
            let right = self.binary(level + 1)?;
            left = Expression::Binary(operator, Box::new((left, right)));
        }
        Ok(left)
    }

    fn operator(&mut self, operators: &[(&str, Operator)]) -> Option<Operator> {
        let found = operators.iter().find(|(sign, _)| self.take(sign));
        found.map(|(_, operator)| *operator)
    }

    fn unary(&mut self) -> Result<Expression, String> {
        self.deeper()?;
        let expression = if self.take("!") {
            Expression::Not(Box::new(self.unary()?))
        } else if self.take("-") {
            Expression::Negative(Box::new(self.unary()?))
        } else {
            self.primary()?
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn primary(&mut self) -> Result<Expression, String> {
        if self.take("(") {
            return self.bracketed();
        }
        let rest = self.rest();
        if rest.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return self.number();
        }
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let name = &rest[..end];
        if name.is_empty() {
            return Err(self.unexpected("a number, a name or a bracket"));
        }
        self.at += end;
        let conversion = match name {
            "true" | "false" => return Ok(Expression::Literal(Value::Bool(name == "true"))),
            "int" => Conversion::Int,
            "double" => Conversion::Double,
            _ => return self.name(name),
        };
        self.expect("(")?;
        Ok(Expression::Convert(conversion, Box::new(self.bracketed()?)))
    }

    fn name(&mut self, name: &str) -> Result<Expression, String> {
        if self.rest().starts_with('(') {
            return Err(format!("there is no function {name:?} for conditions"));
        }
        Ok(Expression::Name(name.to_owned()))
    }

    fn bracketed(&mut self) -> Result<Expression, String> {
        let inner = self.conditional()?;
        self.expect(")")?;
        Ok(inner)
    }

    fn number(&mut self) -> Result<Expression, String> {
        let rest = self.rest();
        let mut end = 0;
        for (at, c) in rest.char_indices() {
            let exponent_sign = matches!(c, '+' | '-') && rest[..at].ends_with(['e', 'E']);
            if !(c.is_ascii_alphanumeric() || c == '.' || exponent_sign) {
                break;
            }
            end = at + c.len_utf8();
        }
        let text = &rest[..end];
        let value = number(text).ok_or_else(|| self.error(&format!("{text:?} is no number")))?;
        self.at += end;
        Ok(Expression::Literal(value))
    }

    /// The text from the next sign on.
    fn rest(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.at += rest.len() - trimmed.len();
        trimmed
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.take(sign) {
            return Ok(());
        }
        Err(self.unexpected(&format!("{sign:?}")))
    }

    fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error(&format!("nested more than {DEEPEST} deep")));
        }
        Ok(())
    }

    fn unexpected(&mut self, expected: &str) -> String {
        let found = self.rest().chars().next();
        let found = found.map_or("the end".to_owned(), |c| format!("{c:?}"));
        self.error(&format!("expected {expected}, found {found}"))
    }

    fn error(&self, message: &str) -> String {
        format!("at character {}: {message}", self.at + 1)
    }
}

/// A whole number (also `0x1F`, and `5u`), or one with a point or an exponent.
fn number(text: &str) -> Option<Value> {
    let whole = text.strip_suffix(['u', 'U']).unwrap_or(text);
    let hexadecimal = whole
        .strip_prefix("0x")
        .or_else(|| whole.strip_prefix("0X"));
    if let Some(digits) = hexadecimal {
        return i64::from_str_radix(digits, 16).ok().map(Value::Int);
    }
    if whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return whole.parse().ok().map(Value::Int);
    }
    let looks_like_one = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    let value: f64 = text.parse().ok().filter(|_| looks_like_one)?;
    Some(Value::Double(value))
}
